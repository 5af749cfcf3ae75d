"""Who holds which cell, and how many places each version has taken: pure accounts, no I/O and no clock.

A *place* counts against a version's ``max_instances``: of a function with aliases several versions live at
once, each with options of its own.  A request takes it before there is a cell.  It
passes to the cell that the request gets, and is free again when that cell has been reaped.

Rule 1: places are entries in a set, never a number that goes up and down.  So it does no harm to enter or
remove one twice.
Rule 2: only ``ended`` removes what is known of a cell.  ``keep_only`` corrects the accounts from the cells
that live, whatever went wrong before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any, Generic, Protocol, TypeVar

from supervisor.link_records import EVERY_VERSION

Key = tuple[str, str, int]  # space, function and version


class AccountedRequest(Protocol):
    """A request for a cell, as far as the accounts use it.  ``key`` says of which version."""

    key: Key
    is_answered: bool


class AccountedCell(Protocol):
    """A cell, as far as the accounts use it."""

    name: str


R = TypeVar("R", bound=AccountedRequest)
C = TypeVar("C", bound=AccountedCell)
H = TypeVar("H")


class Accounts(Generic[R, C, H]):
    """``R`` are requests, ``C`` cells, ``H`` the fronts that hold cells."""

    def __init__(self) -> None:
        # Version → its places: requests, and names of cells.
        self._places: dict[Key, set[Any]] = {}
        self._tied: dict[str, R] = {}
        self._holder: dict[str, H] = {}
        self._held: dict[H, dict[str, C]] = {}
        # Cells that were returned and not leased again yet, oldest first, with what their holders remembered
        # of them.
        self._spare: dict[str, tuple[C, Any]] = {}
        # Space → number of its cells.
        self.of_space: Counter[str] = Counter()

    # ---- places -----------------------------------------------------------------------------

    def take_place(self, request: R) -> None:
        """Take a place for a cell that is to come."""
        self._places.setdefault(request.key, set()).add(request)

    def give_up(self, request: R) -> bool:
        """The request gets no cell.  True if it had a place, which is free now."""
        return self._free_place(request.key, request)

    def _free_place(self, key: Key, entry: object) -> bool:
        places = self._places.get(key, set())
        if entry not in places:
            return False
        places.discard(entry)
        if not places:
            del self._places[key]
        return True

    def places(self, key: Key) -> int:
        """How many places this version has taken."""
        if key[2] == EVERY_VERSION:
            return sum(len(places) for other, places in self._places.items() if other[:2] == key[:2])
        return len(self._places.get(key, ()))

    def holders(self, key: Key) -> list[H]:
        """The fronts that hold cells of this version."""
        names = [entry for entry in self._places.get(key, ()) if entry in self._holder]
        return list(dict.fromkeys(self._holder[name] for name in names))

    def names(self, key: Key) -> list[Any]:
        """The version's places: names of cells, and requests."""
        return list(self._places.get(key, ()))

    @property
    def living(self) -> Container[Key]:
        """The versions that have taken places."""
        return self._places

    def function_of(self, name: str) -> tuple[str, str] | None:
        """Space and name of the function that a cell belongs to; None for a blank one."""
        request = self._tied.get(name)
        return request.key[:2] if request is not None else None

    def no_more_counted(self, name: str) -> Key | None:
        """Free the place of a cell that is about to end.  Returns its version's key if it had a place."""
        request = self._tied.get(name)
        if request is None or not self._free_place(request.key, name):
            return None
        return request.key

    # ---- cells ------------------------------------------------------------------------------

    def tie(self, cell: C, request: R) -> None:
        """The cell belongs to the request's version from now on, and takes over the request's place."""
        self._tied[cell.name] = request
        self.of_space[request.key[0]] += 1
        if self._free_place(request.key, request):
            self._places.setdefault(request.key, set()).add(cell.name)

    def hand_over(self, cell: C, holder: H) -> None:
        """The cell is held by ``holder`` from now on."""
        self._let_go(cell.name)
        self._holder[cell.name] = holder
        self._held.setdefault(holder, {})[cell.name] = cell

    def take_back(self, cell: C, memory: Any) -> None:
        """The cell was returned.  Its next holder will get ``memory``."""
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
        """Lease a returned cell to another request.  It keeps its place.  Returns its ``memory``."""
        self._tied[cell.name] = request
        return self._spare.pop(cell.name)[1]

    def no_more_spare(self, cell: C) -> bool:
        """Take a returned cell from those that may be leased again.  False if it was not among them."""
        return self._spare.pop(cell.name, None) is not None

    def spare_of(self, key: Key) -> list[C]:
        """The function's returned cells, the oldest first."""
        return [cell for cell, _ in self._spare.values() if self._tied[cell.name].key == key]

    def tied_to(self, name: str) -> R:
        """The request that last leased the cell.  Raises KeyError for a blank cell."""
        return self._tied[name]

    def holder_of(self, name: str) -> H | None:
        """The front that holds this cell, or None."""
        return self._holder.get(name)

    def cell(self, holder: H, name: str) -> C | None:
        """The cell of that name, if ``holder`` holds it."""
        return self._held.get(holder, {}).get(name)

    def held_by(self, holder: H) -> list[C]:
        """All cells that ``holder`` holds."""
        return list(self._held.get(holder, {}).values())

    def spaces_of(self, holder: H) -> Counter[str]:
        """Space → how many of its cells ``holder`` holds."""
        return Counter(self._tied[name].key[0] for name in self._held.get(holder, ()))

    def ended(self, name: str) -> tuple[H | None, R | None]:
        """Remove a cell that has been reaped.

        Returns its holder and its request, None where there was none.
        """
        holder = self._let_go(name)
        self._spare.pop(name, None)
        request = self._tied.pop(name, None)
        if request is not None:
            self._free_place(request.key, name)
            space = request.key[0]
            self.of_space[space] -= 1
            if not self.of_space[space]:
                del self.of_space[space]
        return holder, request

    # ---- correction -------------------------------------------------------------------------

    def keep_only(self, alive: Container[str]) -> list[tuple[H, str]]:
        """Remove every cell that is not ``alive`` and every answered request, and count anew.

        Returns the removed cells that a front still held, with that front.
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
