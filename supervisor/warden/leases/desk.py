"""The lease desk: fronts ask for cells, keep them, hand them back; the desk keeps count.

``supervisor.link_messages`` has what a front may say and what it is told.  A front that says anything else
loses its link, its cells and its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import socket
from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import Any

from supervisor.datagrams import LinkClosed, discard
from supervisor.function_limits import LAST_SECONDS
from supervisor.link_messages import (
    PIPES,
    CellEnded,
    ChangeKnown,
    ChangeRequest,
    CountRequest,
    InstanceCount,
    KillCell,
    Leased,
    LeaseRefusal,
    LeaseRequest,
    LeaveCell,
    LimitMet,
    NoSpare,
    ReturnCell,
    ReturnIdle,
    SignalCell,
    SpareWanted,
    StartState,
)
from supervisor.link_records import CellEnd, InstanceHistory
from supervisor.warden.all_steps import StepsFailed, take_all_steps
from supervisor.warden.cells.cell_states import CellState
from supervisor.warden.cells.code_mount import Bundles
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.change_rounds import Changes
from supervisor.warden.leases import lease_ceilings
from supervisor.warden.leases.accounts import Accounts, Key
from supervisor.warden.leases.front_sessions import Request, Session
from supervisor.warden.leases.space_shares import SpaceShares
from supervisor.warden.leases.start_states import StartStates
from supervisor.warden.supply.registry import Registry
from worker.message_table import Malformed

log = logging.getLogger("cellblock.leases")

# For so long a cell that a front returned waits for another front: it had calls a moment ago, more may come.
SPARE_SECONDS = 5.0
# How long a lease waits for another front to return an instance that it does not need.
SPARE_ASK_S = 0.02

# Leases that one front may wait for at once: more than any server has cells.  One more is refused, because
# each costs the desk time that the other fronts want.
WAITING_MOST = 4096

# What two requests must have in common to be given each other's cell.
SAME_VERSION = ("key", "digest", "tie")


class Desk:
    """All fronts, all leases."""

    def __init__(self, bundles: Bundles, wait_seconds: float, ceilings: Mapping[str, Any]) -> None:
        """``ceilings`` are all of the operator's.  They and ``wait_seconds`` may change while it runs."""
        self._bundles = bundles
        self.wait_seconds = wait_seconds
        self.ceilings = ceilings
        self.sessions: set[Session] = set()
        self.accounts: Accounts[Request, Cell, Session] = Accounts()
        self.shares = SpaceShares(self.sessions, self.accounts.of_space)
        self.registry: Registry | None = None
        self._at_limit: list[Request] = []
        # Those of them that start an instance of their own if no front has one to spare, by their ask.
        self._hoping: dict[int, Request] = {}
        self._asks = itertools.count(1)
        # What every front knows: the last message of each class.
        self._news: dict[type, object] = {}
        # By its class, whoever handles a message of a front; ``Surveys`` and ``SettingsReload`` add theirs.
        self.handlers: dict[type, Callable[[Session, Any, list[int]], None]] = {
            LeaseRequest: self._lease,
            ReturnCell: self._return,
            KillCell: self._kill,
            LeaveCell: self._leave,
            SignalCell: self._signal,
            NoSpare: lambda _, message, __: self._start_its_own(message.ask),
            ChangeRequest: self._changed,
            ChangeKnown: lambda session, message, _: self._changes.acknowledged(session, message.epoch),
            CountRequest: self._count,
            StartState: self._start,
        }
        self._changes = Changes(self.sessions)
        self.starts = StartStates(self._is_importing)

    def spaces_of(self, session: Session) -> Counter[str]:
        """How many cells of each space a front holds."""
        return self.accounts.spaces_of(session)

    def join(self, sock: socket.socket, pidfd: int = -1) -> None:
        """Take in a new front worker: our end of its link, and a descriptor of its process."""
        session = Session(self, sock, pidfd)
        self.sessions.add(session)
        for message in self._news.values():
            session.tell(message)

    def publish(self, message: object) -> None:
        """Tell every front, and each new one as it joins, until there is a newer message of this class."""
        self._news[type(message)] = message
        for session in list(self.sessions):
            session.tell(message)

    def left(self, session: Session) -> None:
        """Forget a front that is gone: kill its cells, whose calls are lost, and drop its requests."""
        self.sessions.discard(session)
        with contextlib.suppress(StepsFailed):  # the log has it, and the caller has more to do
            take_all_steps(
                "a front's link",
                session.let_go,
                *(functools.partial(cell.kill, "front gone") for cell in self.accounts.held_by(session)),
                *(functools.partial(self._drop, request) for request in list(session.waiting)),
                lambda: self._changes.left(session),
            )

    def heard(self, session: Session, message: object, descriptors: list[int]) -> None:
        """Handle one message of a front; the handler owns the descriptors.  Malformed."""
        self.handlers[type(message)](session, message, descriptors)

    def _kill(self, session: Session, message: KillCell, _: list[int]) -> None:
        cell = self.accounts.cell(session, message.cell)
        if cell is not None:  # else it has ended already, and the front is about to hear so
            cell.kill(message.cause)

    def _signal(self, session: Session, message: SignalCell, _: list[int]) -> None:
        cell = self.accounts.cell(session, message.cell)
        if cell is not None:
            cell.signal(message.name)

    def _changed(self, session: Session, message: ChangeRequest, _: list[int]) -> None:
        self.starts.changed(message.space, message.name, self.accounts.living)
        self._changes.announce(session, message)

    def _count(self, session: Session, message: CountRequest, _: list[int]) -> None:
        key = (message.space, message.name, message.version)
        starts = (self.starts.ready(key), *self.starts.failed(key))
        session.tell(InstanceCount(message.ticket, self.accounts.places(key), *starts))

    def _start(self, session: Session, message: StartState, _: list[int]) -> None:
        self.starts.heard(message, self.accounts.cell(session, message.cell) is not None)

    # ---- leases -----------------------------------------------------------------------------

    def _lease(self, session: Session, message: LeaseRequest, _: list[int]) -> None:
        request = Request(session, lease_ceilings.within(message, self.ceilings))
        request.deadline = asyncio.get_running_loop().call_later(
            self.wait_seconds, lambda: self._too_late(request)
        )
        if len(session.waiting) > WAITING_MOST:
            self._refuse(request, "capacity", f"this front waits for {WAITING_MOST} cells already")
            return
        assert self.registry is not None
        if not self.registry.zygotes.has(runtime := request.wanted[0]):
            self._refuse(request, "broken", f"runtime {runtime} is not installed here")
            return
        self._place(request)

    def _place(self, request: Request, hopes: bool = True) -> None:
        """Claim an instance for the request, or let it wait for one to come back."""
        if self._take_spare(request):
            return
        if not request.is_check and self.accounts.places(request.key) >= request.most:
            holders = self.accounts.holders(request.key)
            if request.is_keep or request.session in holders or not holders:
                # It waits for its own; or all are about to be somebody's: it will ask again.
                self._refuse(request, "limit", f"all {request.most} instances are in use")
                return
            if self.starts.is_importing(self.accounts.names(request.key)):
                self._refuse(request, "limit", "all instances are in use or importing", is_importing=True)
                return
            self._at_limit.append(request)
            self._with_most(holders).tell(ReturnIdle(*request.key))
            return
        if hopes and not request.is_check and not request.is_keep:
            holders = self.accounts.holders(request.key)
            if holders and request.session not in holders:
                self._hope(request, self._with_most(holders))
                return
        if not request.is_check:
            self.accounts.take_place(request)
        assert self.registry is not None
        request.want = self.registry.request_cell(
            self.registry.zygotes.kind(*request.wanted),
            lambda cell, reason: self._serve(request, cell, reason),
            request.key[0],
            request.is_keep,
        )
        self.shares.one_more_waits()

    def _with_most(self, holders: list[Session]) -> Session:
        return max(holders, key=lambda other: len(self.accounts.held_by(other)))

    def _hope(self, request: Request, holder: Session) -> None:
        """Ask the other fronts for a spare instance; if none has one, start a new one a moment later."""
        ask = next(self._asks)
        self._hoping[ask] = request
        self._at_limit.append(request)
        asyncio.get_running_loop().call_later(SPARE_ASK_S, self._start_its_own, ask)
        holder.tell(SpareWanted(ask, *request.key))

    def _start_its_own(self, ask: int) -> None:
        request = self._hoping.pop(ask, None)
        if request in self._at_limit:  # else it was given one, or was refused
            self._at_limit.remove(request)
            self._place(request, hopes=False)

    def _is_importing(self, key: Key) -> None:
        """Tell the fronts that wait for an instance of this version: they decide how long they wait."""
        hoping = self._hoping.values()
        for request in [one for one in self._at_limit if one.key == key and one not in hoping]:
            self._refuse(request, "limit", "all instances are in use or importing", is_importing=True)

    def _give_up(self, request: Request) -> None:
        if self.accounts.give_up(request):
            self._retry_at_limit(request.key)

    def _retry_at_limit(self, key: Key) -> None:
        for request in self._at_limit:
            if request.key == key:
                self._at_limit.remove(request)
                self._place(request)
                return

    def _serve(self, request: Request, cell: Cell | None, reason: str) -> None:
        """Tie the blank cell and hand it over; without a cell, refuse the request."""
        if request.is_answered or request.session.link.is_closed:
            self._give_up(request)  # nobody waits any more; the cell stays blank
            return
        if cell is None:
            self._refuse(request, "capacity", reason)
            return
        try:
            self._tie(request, cell)
        except Exception:
            log.exception("cell %s: the lease of it failed", cell.name)
            cell.kill("not started", "the lease of it failed")
            if not request.is_answered:
                self._refuse(request, "capacity", "the lease of its cell failed")

    def _tie(self, request: Request, cell: Cell) -> None:
        try:
            code = self._bundles.open(request.digest)
        except FileNotFoundError as error:
            self._refuse(request, "code", f"its code is not on disk: {error.strerror}")
            return
        except OSError as error:
            self._refuse(request, "broken", f"its code cannot be opened: {error}")
            return
        try:
            cell.tie(request.tie, code)
        except (LinkClosed, OSError) as error:
            cell.kill("not started", f"it could not be tied: {error}")
            self._refuse(request, "capacity", "the cell died while it was tied")
            return
        finally:
            code.close()
        self.accounts.tie(cell, request)
        self._hand_over(request, cell, None)

    def _hand_over(self, request: Request, cell: Cell, memory: InstanceHistory | None) -> None:
        request.answer()
        self.accounts.hand_over(cell, request.session)
        if not request.session.tell(Leased(request.ticket, cell.name, memory), cell.pipes.lent()):
            cell.kill("front gone")
            why = "there is no descriptor left for its pipes"  # if the front is there at all
            request.session.tell(LeaseRefusal(request.ticket, "capacity", why, False))
        # The front has its own copies: with ours open nobody would see the cell's end close.
        cell.pipes.close()

    def _return(self, session: Session, message: ReturnCell, descriptors: list[int]) -> None:
        cell = self.accounts.cell(session, message.cell)
        if cell is None or cell.state is not CellState.LEASED or len(descriptors) != PIPES:
            discard(descriptors)
            if cell is not None:
                cell.kill("released")  # without its pipes it is of no use to anybody
            return
        if not cell.pipes.are(descriptors):
            discard(descriptors)
            raise Malformed("return: descriptors that it was not lent")
        try:
            cell.returned(descriptors)
        except OSError as error:
            cell.kill("released", f"its pipes cannot be had again: {error}")
            return
        self.accounts.take_back(cell, message.memory)
        for request in self._at_limit:
            if self._is_same_version(request, self.accounts.tied_to(cell.name)):
                self._at_limit.remove(request)
                self._lease_again(request, cell)
                return
        # Its front was asked for it, but the one that wanted it is gone: it waits a while for another.
        asyncio.get_running_loop().call_later(SPARE_SECONDS, self._drop_spare, cell)

    def _leave(self, session: Session, message: LeaveCell, _: list[int]) -> None:
        """The cell ends in order, and is killed if that takes too long; its place is free meanwhile."""
        cell = self.accounts.cell(session, message.cell)
        if cell is None:
            return
        asyncio.get_running_loop().call_later(LAST_SECONDS, cell.kill, message.cause)
        key = self.accounts.no_more_counted(message.cell)
        if key is not None:
            self._retry_at_limit(key)

    def _drop_spare(self, cell: Cell) -> None:
        if self.accounts.no_more_spare(cell):
            cell.kill("released")

    def _take_spare(self, request: Request) -> bool:
        """Lease a returned cell of the version again; one that was tied to other limits ends now."""
        for cell in self.accounts.spare_of(request.key):
            if cell.state is not CellState.RETURNED:
                continue  # it was killed as it waited, and is about to be reaped
            if not request.is_check and self._is_same_version(request, self.accounts.tied_to(cell.name)):
                self._lease_again(request, cell)
                return True
            self._drop_spare(cell)
        return False

    @staticmethod
    def _is_same_version(request: Request, tied: Request) -> bool:
        # The limits too: they may have changed without a deploy, when the settings did.
        return all(getattr(request, name) == getattr(tied, name) for name in SAME_VERSION)

    def _lease_again(self, request: Request, cell: Cell) -> None:
        cell.leased_again()
        self._hand_over(request, cell, self.accounts.lease_again(cell, request))

    def _too_late(self, request: Request) -> None:
        if request in self._at_limit:
            self._refuse(request, "limit", f"all {request.most} instances stayed in use")
        else:
            self._refuse(request, "capacity", f"no cell came free in {self.wait_seconds:g} s")

    def _refuse(self, request: Request, reason: str, message: str, *, is_importing: bool = False) -> None:
        request.session.tell(LeaseRefusal(request.ticket, reason, message, is_importing))
        self._drop(request)

    def _drop(self, request: Request) -> None:
        """Forget a request that gets no cell."""
        request.answer()
        if request in self._at_limit:
            self._at_limit.remove(request)
        if request.want is not None and self.registry is not None:
            self.registry.cancel_request(
                request.want
            )  # else it would keep asking for a cell that nobody wants
        self._give_up(request)

    def met(self, cell: Cell, what: str, peak_bytes: int) -> None:
        """Tell the front that its cell met a limit, or has a new peak; end a cell that no front holds."""
        session = self.accounts.holder_of(cell.name)
        if session is not None:
            session.tell(LimitMet(cell.name, what, peak_bytes))
        elif what:
            self._drop_spare(cell)

    def ended(self, cell: Cell, ending: CellEnd) -> None:
        """Remove a cell that has been reaped: tell its front why it ended, and free its place."""
        self.starts.ended(cell.name)
        session, request = self.accounts.ended(cell.name)
        if session is not None:
            session.tell(CellEnded(cell.name, ending))
        if request is not None:
            self._retry_at_limit(request.key)

    def mend(self, alive: Container[str]) -> None:
        """Correct the accounts after an error broke off the handling of an end; only these cells live."""
        for session, name in self.accounts.keep_only(alive):
            session.tell(CellEnded(name, CellEnd("exited")))
        self._at_limit.clear()
        for session in list(self.sessions):
            for request in [request for request in session.waiting if request.want is None]:
                self.accounts.give_up(request)
                self._place(request)

    def close(self) -> None:
        """Close all links at the server's end, after the fronts have gone."""
        for session in list(self.sessions):
            session.link.close()
        self._bundles.close()
