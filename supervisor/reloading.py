"""What SIGHUP may change in a running server: a table of settings, and what a new reading of them comes to.

What is not in LIVE is built into something that lives as long as the server does: a socket, a user id,
a folder, the number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supervisor.settings import Settings

# What the fronts act on: they learn it over their link to the warden, and go on.
OF_FRONTS = frozenset(
    {
        "ceilings", "defaults", "drain_seconds", "freeze_seconds", "function_logs", "grace_seconds",
        "init_seconds", "log_level", "queue_depth", "queue_seconds", "recycle_calls", "recycle_seconds",
        "text_content_type",
    }
)  # fmt: skip
# What only the warden acts on.
OF_THE_WARDEN = frozenset({"blank_cells", "blank_cells_most", "max_cells", "preload"})
LIVE = OF_FRONTS | OF_THE_WARDEN


@dataclass(frozen=True)
class Change:
    """``settings`` are in force from now on; ``changed`` are new in them, ``deferred`` wait for a restart."""

    settings: Settings
    changed: tuple[str, ...]
    deferred: tuple[str, ...]


def between(running: Settings, wanted: Settings) -> Change:
    """What of ``wanted`` a server that runs with ``running`` takes over; pure."""
    differing = [name for name in Settings.model_fields if getattr(running, name) != getattr(wanted, name)]
    changed = tuple(name for name in differing if name in LIVE)
    update = {name: getattr(wanted, name) for name in changed}
    deferred = tuple(name for name in differing if name not in LIVE)
    return Change(running.model_copy(update=update), changed, deferred)


def for_fronts(settings: Settings) -> dict[str, Any]:
    """The part of the settings that a front is told, in JSON's types: some 2 KiB."""
    return settings.model_dump(mode="json", include=set(OF_FRONTS))


def told(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """A front's settings after it was told ``values``, which are the warden's and so checked already."""
    fields = settings.model_dump(mode="json", exclude={"admin_token"})
    return Settings(**{**fields, **{name: values[name] for name in OF_FRONTS}})
