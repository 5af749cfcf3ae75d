"""Who has which cell, and how many places each function has taken: pure accounts, no I/O and no clock.

A *place* counts against a function's ``max_instances``.  It is taken by a request before there is a cell,
goes over to the cell that the request is given, and is free again when that cell has been reaped.

Rule 1: a place is an entry under a name and never a number that goes up and down: what is entered or struck
out twice is so once.
Rule 2: whatever there is of a cell is struck out by ``ended`` alone; and ``keep_only`` makes the book right
from those who are alive, whatever went wrong before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any, Generic, Protocol, TypeVar

Key = tuple[str, str]


class Asking(Protocol):
    """A request for a cell, as far as the book knows one; ``key`` is its function's space and name."""

    key: Key
    is_answered: bool


class Named(Protocol):
    """A cell, likewise."""

    name: str


R = TypeVar("R", bound=Asking)
C = TypeVar("C", bound=Named)
H = TypeVar("H")


class Book(Generic[R, C, H]):
    """``R`` are requests, ``C`` cells, ``H`` those who hold cells."""

    def __init__(self) -> None:
        # Of each function: requests (themselves) and cells (by name).
        self._places: dict[Key, set[Any]] = {}
        self._tied: dict[str, R] = {}
        self._holder: dict[str, H] = {}
        self._held: dict[H, dict[str, C]] = {}
        # Handed back and taken by nobody yet, in that order, with what their holders remembered of them.
        self._spare: dict[str, tuple[C, Any]] = {}
        # Cells of each space.
        self.of_space: Counter[str] = Counter()

    # ---- places -----------------------------------------------------------------------------

    def take_place(self, request: R) -> None:
        """For a cell that is to come."""
        self._places.setdefault(request.key, set()).add(request)

    def give_up(self, request: R) -> bool:
        """The request is answered without a cell of its own: True if it had a place, which is free now."""
        return self._strike_out(request.key, request)

    def _strike_out(self, key: Key, entry: object) -> bool:
        places = self._places.get(key, set())
        if entry not in places:
            return False
        places.discard(entry)
        if not places:
            del self._places[key]
        return True

    def places(self, key: Key) -> int:
        """How many this function has taken."""
        return len(self._places.get(key, ()))

    def holders(self, key: Key) -> list[H]:
        """Those who hold cells of this function."""
        names = [entry for entry in self._places.get(key, ()) if entry in self._holder]
        return list(dict.fromkeys(self._holder[name] for name in names))

    def names(self, key: Key) -> list[Any]:
        """The cells of this function, by their names, and requests that have a place."""
        return list(self._places.get(key, ()))

    def no_more_counted(self, name: str) -> Key | None:
        """The cell is about to end and takes no place any more: whose it was, if it took one."""
        request = self._tied.get(name)
        if request is None or not self._strike_out(request.key, name):
            return None
        return request.key

    # ---- cells ------------------------------------------------------------------------------

    def tie(self, cell: C, request: R) -> None:
        """It is this function's from now on; a place of the request is the cell's."""
        self._tied[cell.name] = request
        self.of_space[request.key[0]] += 1
        if self._strike_out(request.key, request):
            self._places.setdefault(request.key, set()).add(cell.name)

    def hand_over(self, cell: C, holder: H) -> None:
        """It is held by this one."""
        self._let_go(cell.name)
        self._holder[cell.name] = holder
        self._held.setdefault(holder, {})[cell.name] = cell

    def take_back(self, cell: C, memory: Any) -> None:
        """Nobody holds it any more, and the next one is to learn ``memory``."""
        self._let_go(cell.name)
        self._spare[cell.name] = (cell, memory)

    def _let_go(self, name: str) -> H | None:
        holder = self._holder.pop(name, None)
        if holder is not None:
            held = self._held[holder]
            held.pop(name, None)
            if not held:
                del self._held[holder]
        return holder

    def lease_again(self, cell: C, request: R) -> Any:
        """Its place stays its own, another asks for it: what was remembered of it."""
        self._tied[cell.name] = request
        return self._spare.pop(cell.name)[1]

    def no_more_spare(self, cell: C) -> bool:
        """Nobody is to take it any more; False if it was not waiting for that."""
        return self._spare.pop(cell.name, None) is not None

    def spare_of(self, key: Key) -> list[C]:
        """The function's cells that were handed back, the first of them first."""
        return [cell for cell, _ in self._spare.values() if self._tied[cell.name].key == key]

    def tied_to(self, name: str) -> R:
        """The request that the cell was last leased by; KeyError for one that is nobody's."""
        return self._tied[name]

    def holder_of(self, name: str) -> H | None:
        """Who has this cell; None where nobody does."""
        return self._holder.get(name)

    def cell(self, holder: H, name: str) -> C | None:
        """That one, if this holder has it."""
        return self._held.get(holder, {}).get(name)

    def held_by(self, holder: H) -> list[C]:
        """All that it has."""
        return list(self._held.get(holder, {}).values())

    def spaces_of(self, holder: H) -> Counter[str]:
        """How many cells of each space it has."""
        return Counter(self._tied[name].key[0] for name in self._held.get(holder, ()))

    def ended(self, name: str) -> tuple[H | None, R | None]:
        """It has been reaped: who held it, and what it was tied to; both None when there is nothing of it."""
        holder = self._let_go(name)
        self._spare.pop(name, None)
        request = self._tied.pop(name, None)
        if request is not None:
            self._strike_out(request.key, name)
            space = request.key[0]
            self.of_space[space] -= 1
            if not self.of_space[space]:
                del self.of_space[space]
        return holder, request

    # ---- right again ------------------------------------------------------------------------

    def keep_only(self, alive: Container[str]) -> list[tuple[H, str]]:
        """Strike out every cell that is not ``alive`` and every answered request, and count anew.

        Those struck out that somebody still held, with their holders.
        """

        def is_here(entry: Any) -> bool:
            return entry in alive if isinstance(entry, str) else not entry.is_answered

        lost = [(holder, name) for name, holder in self._holder.items() if name not in alive]
        self._tied = {name: request for name, request in self._tied.items() if name in alive}
        self._holder = {name: holder for name, holder in self._holder.items() if name in alive}
        self._spare = {name: spare for name, spare in self._spare.items() if name in alive}
        held = {h: {n: c for n, c in cells.items() if n in alive} for h, cells in self._held.items()}
        self._held = {holder: cells for holder, cells in held.items() if cells}
        places = {key: {e for e in entries if is_here(e)} for key, entries in self._places.items()}
        self._places = {key: entries for key, entries in places.items() if entries}
        self.of_space.clear()
        self.of_space.update(request.key[0] for request in self._tied.values())
        return lost
