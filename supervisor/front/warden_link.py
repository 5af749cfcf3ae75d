"""The front's end of its link to the warden: leases, endings, changes.

``supervisor.link_messages`` has the messages; here they become awaitables and callbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor.datagrams import Link, pages
from supervisor.errors import BREACHED, PlatformError
from supervisor.front.outcome import refusals
from supervisor.link_messages import (
    LINK,
    PIPES,
    TO_FRONT,
    CellEnded,
    Changed,
    ChangeDone,
    ChangeKnown,
    ChangeRequest,
    CountRequest,
    InstanceCount,
    KillCell,
    Layers,
    Leased,
    LeaseRefusal,
    LeaseRequest,
    LeaveCell,
    LimitMet,
    MakeRoom,
    NoSpare,
    RenewRequest,
    RenewStarted,
    ReturnCell,
    ReturnIdle,
    SettingsTold,
    SignalCell,
    SpareWanted,
    StartState,
    SurveyAsked,
    SurveyDone,
    SurveyPage,
    SurveyRequest,
    SurveyRows,
    TicketAnswer,
    Ticketed,
    TokenKnown,
    TokenTold,
)
from supervisor.link_records import (
    REASON_MOST_CHARS,
    CellEnd,
    FrontRow,
    InstanceHistory,
    Layer,
    MetricRow,
    Row,
)

log = logging.getLogger("cellblock.front")

# The warden answers a lease within queue_seconds and a change within 2 s; this much later it is stuck.
ANSWER_SLACK_S = 5.0

# Rows of a survey, and the pid of the front that they are from; 0 is the warden.
Page = tuple[int, Sequence[Row]]

# Endings in the warden's words that are the platform's own.
PLATFORM_CAUSES = ("breached", "not started")
DELETED = "deleted"  # the cause of ours that ends the instances of a space that was deleted
DRAINED = "drained"  # the cause of ours that ends calls which outlast the drain


class LeaseRefused(PlatformError):
    """503; the warden gave no cell, for ``reason``: limit, capacity, broken or code.

    ``is_importing``: other fronts have all instances that there may be, and one of them imports.
    """

    def __init__(self, reason: str, why: str, is_importing: bool = False) -> None:
        what = f"no instance can be started: {why}; try again"
        super().__init__(503, what, {"reason": reason}, {"Retry-After": "2"})
        self.reason = reason
        self.is_importing = is_importing


@dataclass(frozen=True)
class Lease:
    """A cell for one version: its name, what a former holder remembered of it, its pipe ends."""

    cell: str
    memory: InstanceHistory | None
    pipes: list[int]


class Ending(CellEnd):
    """How a leased cell ended, and what its front makes of that."""

    @classmethod
    def of(cls, end: CellEnd) -> Ending:
        """The warden's word."""
        return cls(end.cause, end.signal, end.code, end.reason, end.peak_bytes)

    def caused_by(self, ours: Ending) -> Ending:
        """This ending, for the cause for which we had it killed; its peak stays the warden's word."""
        return ours.replaced(reason=ours.reason or self.reason, peak_bytes=self.peak_bytes)

    def platform_error(self) -> PlatformError | None:
        """The 503 of an ending that is no fault of the function's; None for all others."""
        if self.cause == DRAINED:
            why = "the server is shutting down and the call did not end in time: it may have happened in part"
            return PlatformError(503, why, headers={"Retry-After": "2"})
        if self.cause == DELETED:
            return PlatformError(404, "function not found: its space was deleted during the call")
        if self.cause not in PLATFORM_CAUSES:
            return None
        why = BREACHED if self.cause == "breached" else f"a cell could not be made: {self.reason}"
        return PlatformError(503, f"{why}; try again", {"reason": self.cause}, {"Retry-After": "5"})


class WardenLink:
    """One per front worker."""

    def __init__(self, sock: socket.socket, answer_seconds: float, on_lost: Callable[[], None]) -> None:
        self._link = Link(sock, LINK, TO_FRONT, self._heard, self._lost, closed=refusals.leaving)
        self._answer_seconds = answer_seconds + ANSWER_SLACK_S
        self._on_lost = on_lost
        self._tickets = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[Any, list[int]]]] = {}
        self._pages: dict[int, list[Page]] = {}
        # What is really in force, in the warden's words; see supervisor.warden.cells.confinement.
        self.layers: list[Layer] = []
        # Set once the warden has said which settings are in force.
        self.is_told = asyncio.Event()
        # Wired by the front before the first message can arrive.
        self.on_ended: Callable[[str, Ending], None] = lambda cell, ending: None
        self.on_met: Callable[[str, str, int], None] = lambda cell, what, peak_bytes: None
        # By what changed; called with the space, and the function's name or "".
        self.on_changed: dict[str, Callable[[str, str], None]] = {}
        self.on_code_lost: Callable[[str, str], bool] = lambda space, name: False
        self.on_reclaim: Callable[[str, str, int], None] = lambda space, name, number: None
        self.on_spare: Callable[[str, str], bool] = lambda space, name: False
        self.on_survey: Callable[[str], tuple[Sequence[FrontRow], int]] = lambda space: ([], 0)
        self.on_metrics: Callable[[], Iterable[MetricRow]] = lambda: ()
        self.on_settings: Callable[[dict[str, Any]], None] = lambda values: None
        self.on_token: Callable[[bytes], None] = lambda digest: None
        self._handlers: dict[type, Callable[[Any, list[int]], None]] = {
            Leased: self._answered,
            LeaseRefusal: self._answered,
            ChangeDone: self._answered,
            InstanceCount: self._answered,
            RenewStarted: self._answered,
            SurveyDone: self._answered,
            SurveyPage: self._page,
            CellEnded: lambda message, _: self.on_ended(message.cell, Ending.of(message.end)),
            LimitMet: lambda message, _: self.on_met(message.cell, message.what, message.peak_bytes),
            Changed: self._changed,
            SpareWanted: self._spare_wanted,
            ReturnIdle: lambda message, _: self.on_reclaim(message.space, message.name, 1),
            MakeRoom: lambda message, _: self.on_reclaim(message.space, "", message.number),
            Layers: self._layers_told,
            SettingsTold: self._settings_told,
            TokenTold: self._token_told,
            SurveyAsked: self._survey_asked,
        }

    @property
    def is_up(self) -> bool:
        """Whether the warden is there."""
        return not self._link.is_closed

    def retune(self, answer_seconds: float) -> None:
        """From now on the warden has so long for a lease."""
        self._answer_seconds = answer_seconds + ANSWER_SLACK_S

    # ---- what this front says ---------------------------------------------------------------

    async def lease(self, request: LeaseRequest) -> Lease:
        """A cell tied to the version that ``request`` names.  LeaseRefused."""
        answer, descriptors = await self._ask(request)
        if type(answer) is LeaseRefusal:
            raise LeaseRefused(answer.reason, answer.message, answer.is_importing)
        if len(descriptors) != PIPES + request.tie.is_fresh:
            # The kernel leaves out what there is no room for.
            self._unwanted(answer, descriptors)
            raise LeaseRefused("capacity", "this front has no descriptors left for its pipes")
        return Lease(answer.cell, answer.memory, descriptors)

    def kill(self, cell: str, cause: str) -> None:
        """End a leased cell now."""
        self._tell(KillCell(cell, cause))

    def leave(self, cell: str, cause: str) -> None:
        """It ends by itself, or in LAST_SECONDS; its place is free now."""
        self._tell(LeaveCell(cell, cause))

    def signal(self, cell: str, name: str) -> None:
        """Have a leased cell's worker ``look`` into its pipe, or ``dump`` its stacks."""
        self._tell(SignalCell(cell, name))

    def give_back(self, cell: str, memory: InstanceHistory, pipes: list[int]) -> None:
        """Return an idle cell with copies of our pipe ends; the caller closes its own."""
        self._tell(ReturnCell(cell, memory), pipes)

    async def changed(self, what: str, space: str, name: str = "") -> None:
        """Return once the other fronts know that something of a space changed."""
        await self._ask(ChangeRequest(what, space, name))

    def start(self, cell: str, whose: tuple[str, str, int], state: str, reason: str = "") -> None:
        """How a start goes: ``importing``, ``ready`` or ``failed``; ``whose``: space, name, version."""
        with contextlib.suppress(PlatformError):  # the warden is gone, and we are about to be
            self._tell(StartState(cell, *whose, state, reason[:REASON_MOST_CHARS]))

    async def count(self, space: str, name: str) -> InstanceCount:
        """The instances of a function over all fronts, and how the last starts went."""
        answer, _ = await self._ask(CountRequest(space, name))
        counted: InstanceCount = answer
        return counted

    async def renew(self) -> list[str]:
        """Have every zygote that runs replaced; the names of their runtimes."""
        answer, _ = await self._ask(RenewRequest())
        runtimes: list[str] = answer.runtimes
        return runtimes

    async def survey(self, space: str, purpose: str = "activity") -> tuple[SurveyDone, list[Page]]:
        """What every front told of the space's functions ("" for all), and the last word of the warden."""
        ticket = next(self._tickets)
        rows = self._pages[ticket] = []
        try:
            last, _ = await self._ask(SurveyRequest(space, 0, purpose), ticket)
        finally:
            del self._pages[ticket]
        return last, rows

    async def _ask(self, request: Ticketed, ticket: int = 0) -> tuple[Any, list[int]]:
        """The answer to a request, with its descriptors."""
        ticket = ticket or next(self._tickets)
        future: asyncio.Future[tuple[Any, list[int]]] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        try:
            self._tell(request.replaced(ticket=ticket))
            return await asyncio.wait_for(future, self._answer_seconds)
        except TimeoutError:
            raise PlatformError(
                503,
                "the server is overloaded: its warden did not answer; try again",
                headers={"Retry-After": "5"},
            ) from None
        finally:
            self._waiting.pop(ticket, None)

    def _tell(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message; PlatformError 503 once the warden is gone."""
        self._link.send(message, descriptors)

    # ---- what it hears ----------------------------------------------------------------------

    def _heard(self, message: object, descriptors: list[int]) -> None:
        self._handlers[type(message)](message, descriptors)

    def _answered(self, answer: TicketAnswer, descriptors: list[int]) -> None:
        future = self._waiting.pop(answer.ticket, None)
        if future is not None and not future.done():
            future.set_result((answer, descriptors))
        else:
            self._unwanted(answer, descriptors)

    def _unwanted(self, answer: TicketAnswer, descriptors: list[int]) -> None:
        """An answer that nobody waits for any more: a cell that came with it has to end."""
        for descriptor in descriptors:
            os.close(descriptor)
        if type(answer) is Leased:
            self.kill(answer.cell, "released")

    def _page(self, page: SurveyPage, _: list[int]) -> None:
        if page.ticket in self._pages:
            self._pages[page.ticket].append((page.front, page.rows))

    def _changed(self, change: Changed, _: list[int]) -> None:
        if handler := self.on_changed.get(change.what):
            handler(change.space, change.name)
        self._tell(ChangeKnown(change.epoch))

    def _spare_wanted(self, wanted: SpareWanted, _: list[int]) -> None:
        if not self.on_spare(wanted.space, wanted.name):
            self._tell(NoSpare(wanted.ask))

    def _layers_told(self, told: Layers, _: list[int]) -> None:
        self.layers = told.layers

    def _settings_told(self, told: SettingsTold, _: list[int]) -> None:
        self.on_settings(told.settings)
        self.is_told.set()

    def _token_told(self, told: TokenTold, _: list[int]) -> None:
        self.on_token(bytes.fromhex(told.sha256))
        self._tell(TokenKnown(told.epoch))

    def _survey_asked(self, asked: SurveyAsked, _: list[int]) -> None:
        if asked.purpose == "metrics":
            self._tell_metrics(asked.number, pages(self.on_metrics()))
            return
        rows, left_out = self.on_survey(asked.space)
        for page in pages(rows):
            self._tell(SurveyRows(asked.number, os.getpid(), page, False, 0))
        self._tell(SurveyRows(asked.number, os.getpid(), [], True, left_out))

    def _tell_metrics(self, number: int, left: Iterator[list[MetricRow]]) -> None:
        """A page a turn of the loop: calls go on in between."""
        page = next(left, None)
        with contextlib.suppress(PlatformError):  # the warden is gone, and we are about to be
            self._tell(SurveyRows(number, os.getpid(), page or [], page is None, 0))
            if page is not None:
                asyncio.get_running_loop().call_soon(self._tell_metrics, number, left)

    def _lost(self) -> None:
        if self._link.fault:
            log.error("the warden said what is in no table: %s", self._link.fault)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(refusals.leaving())
        self._on_lost()
