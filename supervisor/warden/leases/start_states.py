"""What fronts report of the starts of instances: which cells are importing, and which functions cannot start.

A front reports ``importing`` when an import takes a while.  A call at another front that waits, because the
function may have no more instances, then goes on waiting.  The last start of a version decides its status:
``failed`` with the reason, until a start is ``ready`` or the function changes.  Aliases and numbers have
several versions of a function live at once, so each is remembered for itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import TypeVar

from supervisor.link_messages import StartState
from supervisor.warden.leases.accounts import Key

# How many versions are remembered whose last start failed, and as many whose last one succeeded; beyond that
# the oldest is forgotten.  A change looks through all of them, which takes a millisecond at the most.
REMEMBERED_MOST = 10_000
V = TypeVar("V")


class StartStates:
    """The starts at all fronts.  Calls ``on_importing`` for a version of which a cell begins to import."""

    def __init__(self, on_importing: Callable[[Key], None]) -> None:
        self._on_importing = on_importing
        self._importing: set[str] = set()
        self._failed: OrderedDict[Key, str] = OrderedDict()
        self._ready: OrderedDict[Key, None] = OrderedDict()

    def heard(self, start: StartState, is_its_own: bool) -> None:
        """Take a front's report of a start.  ``is_its_own``: the front holds the cell that it names."""
        key = (start.space, start.name, start.version)
        if start.state == "importing":
            if is_its_own:  # else the cell has ended meanwhile
                self._importing.add(start.cell)
                self._on_importing(key)
            return
        self._importing.discard(start.cell)
        if start.state == "failed":
            _remember(self._failed, key, start.reason)
            return
        _remember(self._ready, key, None)
        self._failed.pop(key, None)

    def ended(self, cell: str) -> None:
        """Forget a cell that has ended."""
        self._importing.discard(cell)

    def changed(self, space: str, name: str, living: Container[Key] = ()) -> None:
        """Forget the starts of a function that was deployed anew, aliased or deleted.

        That a version is ready holds on while it has instances, which those of an alias keep.
        """
        for key in [key for key in self._failed if key[:2] == (space, name)]:
            del self._failed[key]
        for key in [key for key in self._ready if key[:2] == (space, name) and key not in living]:
            del self._ready[key]

    def is_importing(self, cells: Iterable[object]) -> bool:
        """Whether one of these cells is importing."""
        return not self._importing.isdisjoint(cells)

    def failed(self, key: Key) -> tuple[int, str]:
        """The version, if its last start failed, and why; else 0 and ""."""
        return (key[2], self._failed[key]) if key in self._failed else (0, "")

    def ready(self, key: Key) -> int:
        """The version, if it has been ready since the function changed; else 0."""
        return key[2] if key in self._ready else 0


def _remember(starts: OrderedDict[Key, V], key: Key, what: V) -> None:
    starts.pop(key, None)
    starts[key] = what
    if len(starts) > REMEMBERED_MOST:
        starts.popitem(last=False)
