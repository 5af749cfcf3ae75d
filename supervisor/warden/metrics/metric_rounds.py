"""What fronts and cells add to one scrape of ``/metrics``, and to the sums of the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from supervisor.link_records import CallsRow, CellEnd, MetricRow, NumberRow, Row
from supervisor.warden.cells.cell_states import CellState
from supervisor.warden.leases.desk import Desk
from supervisor.warden.leases.front_sessions import Session
from supervisor.warden.memory.process_memory import server_process_bytes
from supervisor.warden.metrics.server_totals import Now, ServerTotals
from supervisor.warden.supply.registry import Registry

# Cells that are looked at in one turn of the loop, at 20 us each: leases are answered in between.
CELLS_AT_ONCE = 100
ENDED = "cellblock_cells_ended_total"
# The space of cells that no function has, which check bundles.
NOBODY = "-"


class CellsMost(NamedTuple):
    """What all cells together may have; ``memory_bytes`` 0 where nobody bounds it."""

    number: int
    memory_bytes: int


class Round:
    """One scrape that is under way."""

    def __init__(self) -> None:
        self.moment = Now()
        self.states: Counter[str] = Counter()
        self.memory_bytes = 0


class MetricRounds:
    """The warden's part of every scrape."""

    def __init__(
        self, desk: Desk, registry: Registry, most: Callable[[], CellsMost], functions_most: int
    ) -> None:
        """``most()`` says what cells may have by the settings in force."""
        self._desk = desk
        self._registry = registry
        self._most = most
        self._totals = ServerTotals(functions_most)
        # Prometheus sees no increase in the first value of a series, and an alert waits for this one.
        self._totals.count(ENDED, "memory", 0)
        # Fronts by a number of their own, the lowest that is free: pids would make new names without end.
        self._numbers: dict[Session, int] = {}
        self._loop = asyncio.get_running_loop()

    def cell_ended(self, ending: CellEnd) -> None:
        """Count the end of a cell by its cause."""
        self._totals.count(ENDED, ending.cause)

    def begin(self) -> Round:
        """Begin a scrape."""
        sessions = self._desk.sessions
        self._numbers = {session: own for session, own in self._numbers.items() if session in sessions}
        for session in sessions - self._numbers.keys():
            taken = set(self._numbers.values())
            self._numbers[session] = next(own for own in range(1, len(taken) + 2) if own not in taken)
        return Round()

    def heard(self, scrape: Round, session: Session, rows: Sequence[Row]) -> None:
        """Take a page of a front's rows."""
        now = self._loop.time()
        for row in rows:
            if isinstance(row, CallsRow):
                key = self._totals.calls(row, now)
                scrape.moment.add(key, row.running, row.waiting)
            elif isinstance(row, NumberRow) and row.is_count:
                self._totals.count(row.name, row.label, row.value)
            elif isinstance(row, NumberRow):
                self._of_front(scrape, session, row.name, row.value)

    def _of_front(self, scrape: Round, session: Session, name: str, value: float) -> None:
        own = str(self._numbers.get(session, 0))
        scrape.moment.numbers.append(NumberRow("number", name, own, value, False))

    def cells(self, scrape: Round) -> Iterator[None]:
        """Look at every cell, some in each step."""
        now = self._loop.time()
        for index, cell in enumerate(list(self._registry.cells.values()), 1):
            scrape.states[cell.state.value] += 1
            size = cell.memory_bytes()
            scrape.memory_bytes += size
            key = self._desk.accounts.function_of(cell.name)
            if key is not None and key[0] != NOBODY:
                scrape.moment.add(self._totals.shown_as(key, now), instances=1, size=size)
            if index % CELLS_AT_ONCE == 0:
                yield

    def rows(self, scrape: Round) -> Iterator[MetricRow]:
        """All that a scrape shows."""
        for session in self._numbers:
            self._of_front(
                scrape, session, "cellblock_front_memory_bytes", server_process_bytes(session.pid())
            )
        numbers = scrape.moment.numbers
        for state in CellState:
            if state is not CellState.DEAD:
                found = scrape.states[state.value]
                numbers.append(NumberRow("number", "cellblock_cells", state.value, found, False))
        most = self._most()
        for name, value in (
            ("cellblock_cells_most", most.number),
            ("cellblock_cells_memory_bytes", scrape.memory_bytes),
            ("cellblock_cells_memory_most_bytes", most.memory_bytes),
            ("cellblock_warden_memory_bytes", server_process_bytes(0)),
        ):
            numbers.append(NumberRow("number", name, "", value, False))
        return self._totals.rows(scrape.moment)
