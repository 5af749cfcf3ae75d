"""A front asks what all fronts know of their calls, and what the warden knows of cells: relayed page by page.

    survey   ticket space   -> page ticket front rows …, then surveyed ticket fronts missing left_out
                            <- survey number space, to every front, the one that asked too
    page     number rows is_last left_out, from every front

Nothing is kept here: a page goes on to who asked as it comes.  ``space`` "" means all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator

from supervisor.datagrams import Malformed, Message, pages
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.leases.desk import Desk
from supervisor.warden.leases.front_sessions import Session
from supervisor.warden.supply.registry import Registry

# A front that has not told all by then is busy or stuck: who asked learns how many are missing.
ANSWER_SECONDS = 2.0
# At once; who asks for more than this is told that nobody answered.
SURVEYS_MOST = 16
# Of them one front's, whose administrator asks every second or two.
SURVEYS_OF_A_FRONT = 4
# Pages of one front's answer: of the most rows that it tells there are fewer.
PAGES_MOST = 256


class _Survey:
    def __init__(self, asking: Session, ticket: int, missing: set[Session]) -> None:
        self.asking = asking
        self.ticket = ticket
        self.missing = missing
        self.fronts = len(missing)
        self.left_out = 0
        self.pages: Counter[Session] = Counter()
        self.has_cells = False
        self.deadline: asyncio.TimerHandle | None = None


class Surveys:
    """Those that are under way."""

    def __init__(self, desk: Desk, registry: Registry) -> None:
        self._desk = desk
        self._registry = registry
        self._running: dict[int, _Survey] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        desk.others["survey"] = self._begin
        desk.others["page"] = self._page

    def _begin(self, session: Session, message: Message) -> None:
        survey = _Survey(session, message["ticket"], set(self._desk.sessions))
        own = sum(other.asking is session for other in self._running.values())
        if len(self._running) >= SURVEYS_MOST or own >= SURVEYS_OF_A_FRONT:
            self._end(survey)
            return
        number = next(self._numbers)
        self._running[number] = survey
        survey.deadline = self._loop.call_later(ANSWER_SECONDS, self._finish, number)
        for other in list(survey.missing):
            other.tell({"is": "survey", "number": number, "space": message["space"]})
        self._tell_cells(number, pages(self._rows()))

    def _rows(self) -> Iterator[list[object]]:
        for cell in list(self._registry.cells.values()):
            yield _row(cell)

    def _tell_cells(self, number: int, left: Iterator[list[list[object]]]) -> None:
        """A page a turn, some hundred cells at 20 us each: whoever wants a cell meanwhile gets one."""
        survey = self._running.get(number)
        if survey is None:
            return
        rows = next(left, None)
        if rows is None:
            survey.has_cells = True
            self._look_if_done(number)
            return
        survey.asking.tell({"is": "page", "ticket": survey.ticket, "front": 0, "rows": rows})
        self._loop.call_soon(self._tell_cells, number, left)

    def _page(self, session: Session, message: Message) -> None:
        survey = self._running.get(message["number"])
        if survey is None or session not in survey.missing:
            return  # too late
        survey.pages[session] += 1
        if survey.pages[session] > PAGES_MOST:
            raise Malformed("page: more of them than there are rows for")
        survey.asking.tell(
            {"is": "page", "ticket": survey.ticket, "front": message["front"], "rows": message["rows"]}
        )
        if message["is_last"]:
            survey.left_out += message.get("left_out", 0)
            survey.missing.discard(session)
            self._look_if_done(message["number"])

    def _look_if_done(self, number: int) -> None:
        survey = self._running[number]
        if survey.has_cells and not survey.missing & self._desk.sessions:
            self._finish(number)

    def _finish(self, number: int) -> None:
        survey = self._running.pop(number)
        if survey.deadline is not None:
            survey.deadline.cancel()
        self._end(survey)

    @staticmethod
    def _end(survey: _Survey) -> None:
        missing = len(survey.missing)
        survey.asking.tell(
            {
                "is": "surveyed",
                "ticket": survey.ticket,
                "fronts": survey.fronts - missing,
                "missing": missing,
                "left_out": survey.left_out,
            }
        )


def _row(cell: Cell) -> list[object]:
    """``["cell", name, state, memory_bytes]``; 0 where nobody counts memory."""
    return ["cell", cell.name, cell.state.value, cell.memory_bytes()]
