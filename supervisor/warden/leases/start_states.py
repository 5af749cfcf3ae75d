"""How starts of instances go, in the words of the fronts: which cells import, which functions cannot start.

    start    cell space name version state (importing | ready | failed) reason

A front says ``importing`` of an import that takes a while, so that a call that waits at another front,
because the function may have no more instances, goes on waiting for it.  The last start decides what the
function's status is: ``failed``, with the reason, until one is ``ready`` or the function changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from supervisor.datagrams import Message
from supervisor.warden.leases.accounts import Key

# Functions whose last start failed; of more the one that failed first is forgotten.
FAILED_MOST = 10_000


class Starts:
    """Of all fronts.  Pure but for ``on_importing``, which is told of a function that imports from now on."""

    def __init__(self, on_importing: Callable[[Key], None]) -> None:
        self._on_importing = on_importing
        self._importing: set[str] = set()
        self._failed: OrderedDict[Key, tuple[int, str]] = OrderedDict()

    def heard(self, message: Message, is_its_own: bool) -> None:
        """A front's word; ``is_its_own``: it holds the cell that it names."""
        key = (message["space"], message["name"])
        if message["state"] == "importing":
            if is_its_own:  # else it has ended meanwhile
                self._importing.add(message["cell"])
                self._on_importing(key)
            return
        self._importing.discard(message["cell"])
        if message["state"] == "failed":
            self._failed.pop(key, None)
            self._failed[key] = (message["version"], message["reason"])
            if len(self._failed) > FAILED_MOST:
                self._failed.popitem(last=False)
        elif self.failed(key)[0] == message["version"]:  # else of one that was replaced
            del self._failed[key]

    def ended(self, cell: str) -> None:
        """The cell is no more."""
        self._importing.discard(cell)

    def changed(self, space: str, name: str) -> None:
        """The function was deployed or deleted: what there was to say was of another."""
        self._failed.pop((space, name), None)

    def is_importing(self, cells: Iterable[object]) -> bool:
        """Whether one of them imports."""
        return not self._importing.isdisjoint(cells)

    def failed(self, key: Key) -> tuple[int, str]:
        """The version whose last start failed, and why; 0 and "" where none did."""
        return self._failed.get(key, (0, ""))
