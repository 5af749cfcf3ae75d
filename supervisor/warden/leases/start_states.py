"""How starts of instances go, as the fronts say: which cells import, which functions cannot start.

A front says ``importing`` when an import takes a while.  Then a call at another front, whose function may
have no more instances, goes on waiting for this one.  The last start decides what the function's status is:
``failed``, with the reason, until one is ``ready`` or the function changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from supervisor.link_messages import StartState
from supervisor.warden.leases.accounts import Key

# Functions whose last start failed; of more the one that failed first is forgotten.
FAILED_MOST = 10_000


class Starts:
    """Those of all fronts.  Pure but for ``on_importing``, which is told when a function begins to import."""

    def __init__(self, on_importing: Callable[[Key], None]) -> None:
        self._on_importing = on_importing
        self._importing: set[str] = set()
        self._failed: OrderedDict[Key, tuple[int, str]] = OrderedDict()

    def heard(self, start: StartState, is_its_own: bool) -> None:
        """A front's word; ``is_its_own``: that front holds the cell."""
        key = (start.space, start.name)
        if start.state == "importing":
            if is_its_own:  # else it has ended meanwhile
                self._importing.add(start.cell)
                self._on_importing(key)
            return
        self._importing.discard(start.cell)
        if start.state == "failed":
            self._failed.pop(key, None)
            self._failed[key] = (start.version, start.reason)
            if len(self._failed) > FAILED_MOST:
                self._failed.popitem(last=False)
        elif self.failed(key)[0] == start.version:  # else of one that was replaced
            del self._failed[key]

    def ended(self, cell: str) -> None:
        """The cell is no more."""
        self._importing.discard(cell)

    def changed(self, space: str, name: str) -> None:
        """The function was deployed or deleted: a failure of its former version says nothing of it."""
        self._failed.pop((space, name), None)

    def is_importing(self, cells: Iterable[object]) -> bool:
        """Whether one of them imports."""
        return not self._importing.isdisjoint(cells)

    def failed(self, key: Key) -> tuple[int, str]:
        """The version whose last start failed, and why; 0 and "" where none did."""
        return self._failed.get(key, (0, ""))
