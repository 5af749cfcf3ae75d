"""The roll of all cells, each with the slot that its user ids come from: who is there, in which state."""

from __future__ import annotations

import logging
from collections.abc import Callable

from supervisor.warden.all_steps import Incomplete
from supervisor.warden.cells.cell_states import State
from supervisor.warden.cells.confinement import Kind
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.cells.uid_pool import Slots

log = logging.getLogger("cellblock.cells")


class Roll:
    """A cell is on it from its first moment until it has been reaped."""

    def __init__(self, slots: Slots) -> None:
        self.cells: dict[str, Cell] = {}
        self._slots = slots
        self._slot_of: dict[str, int] = {}

    def enter(self, cell: Cell, slot: int) -> None:
        """It has that slot until it is struck out."""
        self._slot_of[cell.name] = slot
        self.cells[cell.name] = cell

    def strike_out(self, cell: Cell) -> None:
        """Only once it has been reaped: then nothing runs under its ids.  Safe to be done again."""
        self.cells.pop(cell.name, None)
        slot = self._slot_of.pop(cell.name, None)
        if slot is not None:
            self._slots.give_back(slot)

    def mend(self, is_alive: Callable[[int], bool]) -> None:
        """Strike out those that have ended and are still on it; ``is_alive(pid)`` asks who reaps."""
        for cell in list(self.cells.values()):
            if cell.state is not State.DEAD and (not cell.pid or is_alive(cell.pid)):
                continue
            log.error("cell %s has ended and was not struck out: it is now", cell.name)
            self.strike_out(cell)
            try:
                cell.bury()
            except Incomplete:
                continue  # the log has it; its place is free
        self._slot_of = {name: slot for name, slot in self._slot_of.items() if name in self.cells}
        self._slots.keep_only(set(self._slot_of.values()))

    def all(self, state: State) -> list[Cell]:
        """Those in that state."""
        return [cell for cell in self.cells.values() if cell.state is state]

    def count(self, kind: Kind, state: State) -> int:
        """Of one kind."""
        return sum(cell.state is state and cell.kind == kind for cell in self.cells.values())

    def blank(self, kind: Kind) -> Cell | None:
        """A blank one, with the newest libraries."""
        blank = (cell for cell in self.all(State.BLANK) if cell.kind == kind)
        return max(blank, key=lambda cell: cell.zygote_number, default=None)
