"""What a front is told of the server's settings: at its start, and over its link when live ones change.

They travel in JSON's types.  The warden has validated them; the front checks each by its declaration
(``declared_bounds``), without pydantic.  A front knows no setting that it does not act on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from supervisor.domains import Reach
from supervisor.settings.declarations import Settings, live_names
from supervisor.settings.declared_bounds import NamedBound, bounds_of
from supervisor.settings.shared_settings import SharedSettings


@dataclass(frozen=True, kw_only=True)
class FrontSettings(SharedSettings):
    """A front's settings; the warden has found out ``functions_reach`` from two settings of its own."""

    functions_reach: Reach

    @property
    def logs_dir(self) -> Path:
        """The functions' logs (``supervisor.logs``), which every front writes and reads."""
        return self.front_dir / "logs"


FIELDS = frozenset(each.name for each in fields(FrontSettings))
LIVE = live_names(FrontSettings)
_BOUNDS = bounds_of(FrontSettings)
# All of them, and those that may change while a front runs (``supervisor.link_messages.SettingsTold``).
AT_START = NamedBound(_BOUNDS, is_whole=True)
AFTER_CHANGE = NamedBound({name: _BOUNDS[name] for name in LIVE}, is_whole=True)


def for_a_new_front(settings: Settings) -> dict[str, Any]:
    """The settings that a front starts with, in JSON's types."""
    return _told(settings, FIELDS)


def for_running_fronts(settings: Settings) -> dict[str, Any]:
    """The live settings of a front, in JSON's types: some 2 KiB."""
    return _told(settings, LIVE)


def at_start(values: Mapping[str, Any]) -> FrontSettings:
    """The settings that a front starts with, from the values of ``for_a_new_front``.

    ValueError for one that is not as it is declared, or missing: no default takes its place.
    """
    told = AT_START.read(values)
    own_types = {"data_dir": Path(told["data_dir"]), "trusted_proxies": tuple(told["trusted_proxies"])}
    return FrontSettings(**{**told, **own_types})


def after_change(settings: FrontSettings, values: Mapping[str, Any]) -> FrontSettings:
    """A front's settings after it was told ``values``, those of ``for_running_fronts``."""
    return replace(settings, **{name: values[name] for name in LIVE})


def _told(settings: Settings, names: frozenset[str]) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in names}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
