"""Surveys: a front asks what all fronts know of their calls, and what the warden knows of its cells.

The warden asks every front (SurveyAsked), the one that wants to know too.  Each answers in pages
(SurveyRows).  The warden passes each page on as it comes (SurveyPage) and keeps nothing of it; SurveyDone is
the last word.  With the purpose ``metrics`` the warden adds the rows up instead
(``supervisor.warden.metrics``), and then tells the sums.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator

from supervisor.datagrams import pages
from supervisor.link_messages import SurveyAsked, SurveyDone, SurveyPage, SurveyRequest, SurveyRows
from supervisor.link_records import CellRow, MetricRow
from supervisor.warden.leases.desk import Desk
from supervisor.warden.leases.front_sessions import Session
from supervisor.warden.metrics.metric_rounds import MetricRounds, Round
from supervisor.warden.supply.registry import Registry
from worker.message_table import Malformed

# A front that has not told all by then is busy or stuck: the one that asked learns how many are missing.
ANSWER_SECONDS = 2.0
# That run at once; one more is answered at once, as if no front had answered.
SURVEYS_MOST = 16
# That run at once for one front, whose administrator asks every second or two.
SURVEYS_OF_A_FRONT = 4
# Pages of one front's answer: its most rows make fewer.
PAGES_MOST = 256


class _Survey:
    """One that is under way."""

    def __init__(self, asking: Session, ticket: int, missing: set[Session], scrape: Round | None) -> None:
        """``scrape`` is for metrics only."""
        self.asking = asking
        self.scrape = scrape
        self.ticket = ticket
        self.missing = missing
        self.fronts = len(missing)
        self.left_out = 0
        self.pages: Counter[Session] = Counter()
        self.has_cells = False
        self.deadline: asyncio.TimerHandle | None = None


class Surveys:
    """All that are under way."""

    def __init__(self, desk: Desk, registry: Registry, metrics: MetricRounds) -> None:
        self._desk = desk
        self._metrics = metrics
        self._registry = registry
        self._running: dict[int, _Survey] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        desk.handlers[SurveyRequest] = self._begin
        desk.handlers[SurveyRows] = self._page

    def _begin(self, session: Session, request: SurveyRequest, _: list[int]) -> None:
        scrape = self._metrics.begin() if request.purpose == "metrics" else None
        survey = _Survey(session, request.ticket, set(self._desk.sessions), scrape)
        own = sum(other.asking is session for other in self._running.values())
        if len(self._running) >= SURVEYS_MOST or own >= SURVEYS_OF_A_FRONT:
            self._end(survey)
            return
        number = next(self._numbers)
        self._running[number] = survey
        survey.deadline = self._loop.call_later(ANSWER_SECONDS, self._finish, number)
        for other in list(survey.missing):
            other.tell(SurveyAsked(number, request.space, request.purpose))
        if scrape is None:
            self._tell_cells(number, pages(self._rows()))
        else:
            self._count_cells(number, self._metrics.cells(scrape))

    def _rows(self) -> Iterator[CellRow]:
        for cell in list(self._registry.cells.values()):
            yield CellRow("cell", cell.name, cell.state.value, cell.memory_bytes())

    def _tell_cells(self, number: int, left: Iterator[list[CellRow]]) -> None:
        """A page a turn of the loop, some hundred cells at 20 us each: leases are answered in between."""
        survey = self._running.get(number)
        if survey is None:
            return
        rows = next(left, None)
        if rows is None:
            survey.has_cells = True
            self._look_if_done(number)
            return
        survey.asking.tell(SurveyPage(survey.ticket, 0, rows))
        self._loop.call_soon(self._tell_cells, number, left)

    def _count_cells(self, number: int, left: Iterator[None]) -> None:
        survey = self._running.get(number)
        if survey is None:
            return
        try:
            next(left)
        except StopIteration:
            survey.has_cells = True
            self._look_if_done(number)
        else:
            self._loop.call_soon(self._count_cells, number, left)

    def _page(self, session: Session, page: SurveyRows, _: list[int]) -> None:
        survey = self._running.get(page.number)
        if survey is None or session not in survey.missing:
            return  # too late
        survey.pages[session] += 1
        if survey.pages[session] > PAGES_MOST:
            raise Malformed("page: more of them than there are rows for")
        if survey.scrape is None:
            survey.asking.tell(SurveyPage(survey.ticket, page.front, page.rows))
        else:
            self._metrics.heard(survey.scrape, session, page.rows)
        if page.is_last:
            survey.left_out += page.left_out
            survey.missing.discard(session)
            self._look_if_done(page.number)

    def _look_if_done(self, number: int) -> None:
        survey = self._running[number]
        if survey.has_cells and not survey.missing & self._desk.sessions:
            self._finish(number)

    def _finish(self, number: int) -> None:
        survey = self._running.pop(number)
        if survey.deadline is not None:
            survey.deadline.cancel()
        if survey.scrape is None:
            self._end(survey)
        else:
            self._tell_sums(survey, pages(self._metrics.rows(survey.scrape)))

    def _tell_sums(self, survey: _Survey, left: Iterator[list[MetricRow]]) -> None:
        """A page a turn of the loop, as with cells."""
        rows = next(left, None)
        if rows is None:
            self._end(survey)
            return
        survey.asking.tell(SurveyPage(survey.ticket, 0, rows))
        self._loop.call_soon(self._tell_sums, survey, left)

    @staticmethod
    def _end(survey: _Survey) -> None:
        missing = len(survey.missing)
        survey.asking.tell(SurveyDone(survey.ticket, survey.fronts - missing, missing, survey.left_out))
