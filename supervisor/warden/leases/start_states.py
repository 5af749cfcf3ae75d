"""What fronts report of the starts of instances: which cells are importing, and which functions cannot start.

A front reports ``importing`` when an import takes a while.  A call at another front that waits, because the
function may have no more instances, then goes on waiting.  The last start decides the function's status:
``failed`` with the reason, until a start is ``ready`` or the function changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from supervisor.link_messages import StartState
from supervisor.warden.leases.accounts import Key

# How many functions are remembered whose last start failed, and as many whose last one succeeded; beyond that
# the oldest is forgotten.
REMEMBERED_MOST = 10_000


class StartStates:
    """The starts at all fronts.  Calls ``on_importing`` for a function of which a cell begins to import."""

    def __init__(self, on_importing: Callable[[Key], None]) -> None:
        self._on_importing = on_importing
        self._importing: set[str] = set()
        self._failed: OrderedDict[Key, tuple[int, str]] = OrderedDict()
        self._ready: OrderedDict[Key, int] = OrderedDict()

    def heard(self, start: StartState, is_its_own: bool) -> None:
        """Take a front's report of a start.  ``is_its_own``: the front holds the cell that it names."""
        key = (start.space, start.name)
        if start.state == "importing":
            if is_its_own:  # else the cell has ended meanwhile
                self._importing.add(start.cell)
                self._on_importing(key)
            return
        self._importing.discard(start.cell)
        if start.state == "failed":
            self._failed.pop(key, None)
            self._failed[key] = (start.version, start.reason)
            if len(self._failed) > REMEMBERED_MOST:
                self._failed.popitem(last=False)
            return
        self._ready.pop(key, None)
        self._ready[key] = start.version
        if len(self._ready) > REMEMBERED_MOST:
            self._ready.popitem(last=False)
        if self.failed(key)[0] == start.version:  # else the report is of a version that was replaced
            del self._failed[key]

    def ended(self, cell: str) -> None:
        """Forget a cell that has ended."""
        self._importing.discard(cell)

    def changed(self, space: str, name: str) -> None:
        """Forget the starts of a function that was deployed anew or deleted."""
        self._failed.pop((space, name), None)
        self._ready.pop((space, name), None)

    def is_importing(self, cells: Iterable[object]) -> bool:
        """Whether one of these cells is importing."""
        return not self._importing.isdisjoint(cells)

    def failed(self, key: Key) -> tuple[int, str]:
        """The version whose last start failed, and why; 0 and "" if none did."""
        return self._failed.get(key, (0, ""))

    def ready(self, key: Key) -> int:
        """The version that has been ready since it was deployed; 0 if none has."""
        return self._ready.get(key, 0)
