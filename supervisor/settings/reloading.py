"""What SIGHUP may change in a running server: a table of settings, and what a new reading of them comes to.

What is not in LIVE is built into something that lives as long as the server does: a socket, a user id,
a folder, the number of processes.  The fronts' part of it is in ``supervisor.settings.front_settings``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from supervisor.settings import front_settings
from supervisor.settings.declarations import Settings

# What only the warden acts on.
OF_THE_WARDEN = frozenset({"blank_cells", "blank_cells_most", "max_cells", "preload"})
LIVE = front_settings.LIVE | OF_THE_WARDEN
NAMES = tuple(each.name for each in fields(Settings))


@dataclass(frozen=True)
class Change:
    """``settings`` are in force from now on; ``changed`` are new in them, ``deferred`` wait for a restart."""

    settings: Settings
    changed: tuple[str, ...]
    deferred: tuple[str, ...]


def between(running: Settings, wanted: Settings) -> Change:
    """What of ``wanted`` a server that runs with ``running`` takes over; pure."""
    differing = [name for name in NAMES if getattr(running, name) != getattr(wanted, name)]
    changed = tuple(name for name in differing if name in LIVE)
    update = {name: getattr(wanted, name) for name in changed}
    deferred = tuple(name for name in differing if name not in LIVE)
    return Change(replace(running, **update), changed, deferred)


def for_a_new_front(settings: Settings) -> dict[str, Any]:
    """The settings that a front starts with, in JSON's types."""
    return _told(settings, front_settings.FIELDS)


def for_fronts(settings: Settings) -> dict[str, Any]:
    """The part of the settings that a front is told while it runs, in JSON's types: some 2 KiB."""
    return _told(settings, front_settings.LIVE)


def _told(settings: Settings, names: frozenset[str]) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in names}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
