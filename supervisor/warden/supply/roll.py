"""The list of all cells, each with the slot that its user ids come from."""

from __future__ import annotations

import logging
from collections.abc import Callable

from supervisor.warden.all_steps import StepsFailed
from supervisor.warden.cells.cell_states import CellState
from supervisor.warden.cells.confinement import CellKind
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.cells.uid_pool import UidPool

log = logging.getLogger("cellblock.cells")


class CellRoll:
    """Lists a cell from its start until it has been reaped."""

    def __init__(self, slots: UidPool) -> None:
        self.cells: dict[str, Cell] = {}
        self._slots = slots
        self._slot_of: dict[str, int] = {}

    def enter(self, cell: Cell, slot: int) -> None:
        """List a cell.  It keeps ``slot`` until ``remove``."""
        self._slot_of[cell.name] = slot
        self.cells[cell.name] = cell

    def remove(self, cell: Cell) -> None:
        """Remove a cell that has been reaped, and free its slot.  Does nothing the second time."""
        self.cells.pop(cell.name, None)
        slot = self._slot_of.pop(cell.name, None)
        if slot is not None:
            self._slots.give_back(slot)

    def mend(self, is_alive: Callable[[int], bool]) -> None:
        """Remove the cells that have ended and are still listed.

        ``is_alive(pid)``: it has not been reaped.
        """
        for cell in list(self.cells.values()):
            if cell.state is not CellState.DEAD and (not cell.pid or is_alive(cell.pid)):
                continue
            log.error("cell %s has ended and was not struck out: it is now", cell.name)
            self.remove(cell)
            try:
                cell.bury()
            except StepsFailed:
                continue  # the log has the error; the slot is free
        self._slot_of = {name: slot for name, slot in self._slot_of.items() if name in self.cells}
        self._slots.keep_only(set(self._slot_of.values()))

    def all(self, state: CellState) -> list[Cell]:
        """The cells in that state."""
        return [cell for cell in self.cells.values() if cell.state is state]

    def count(self, kind: CellKind, state: CellState) -> int:
        """How many cells of one kind are in that state."""
        return sum(cell.state is state and cell.kind == kind for cell in self.cells.values())

    def blank(self, kind: CellKind) -> Cell | None:
        """A blank cell of that kind, of the newest zygote; None if there is none."""
        blank = (cell for cell in self.all(CellState.BLANK) if cell.kind == kind)
        return max(blank, key=lambda cell: cell.zygote_number, default=None)
