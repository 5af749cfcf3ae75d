"""What SIGHUP changes in a running server: a second reading of the settings, compared with the first.

``supervisor.settings.declarations`` says which settings are live; the others wait for a restart.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import NamedTuple

from supervisor.settings.declarations import Settings, live_names

LIVE = live_names(Settings)
NAMES = tuple(sorted(each.name for each in fields(Settings)))


class SettingsChange(NamedTuple):
    """``settings`` are in force from now on; ``changed`` are new in them, ``deferred`` wait for a restart."""

    settings: Settings
    changed: tuple[str, ...]
    deferred: tuple[str, ...]


def between(running: Settings, wanted: Settings) -> SettingsChange:
    """What a server that runs with ``running`` takes over from ``wanted``; pure."""
    differing = [name for name in NAMES if getattr(running, name) != getattr(wanted, name)]
    changed = tuple(name for name in differing if name in LIVE)
    deferred = tuple(name for name in differing if name not in LIVE)
    update = {name: getattr(wanted, name) for name in changed}
    return SettingsChange(replace(running, **update), changed, deferred)
