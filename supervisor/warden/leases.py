"""The lease desk: fronts ask for cells, keep them, hand them back; the desk keeps count.

Messages of a front (``do``) and to it (``is``); ``ticket`` is the front's own number for a request:

    lease    ticket mode space name version digest runtime network imports max_instances tie
             -> leased   ticket cell memory + 4 descriptors (request, reply, stdout, stderr)
             -> refused  ticket reason (limit | capacity | broken) message
    return   cell memory + 4 descriptors    an idle cell that another front may have
    kill     cell cause
    signal   cell name (look | dump | freeze | thaw)
    none     ask                            no instance is idle for long: to a reclaim with number 0
    changed  ticket space name              -> done ticket, once every front has said ack
    ack      epoch
    count    ticket space name              -> count ticket replicas
    (none)                                  <- ended cell cause signal code reason peak_bytes
                                            <- met cell what peak_bytes (what "": no limit, a new peak)
                                            <- changed epoch space name
                                            <- reclaim space name (an idle one, to be returned; with
                                               number 0 and an ask: one that has been idle for long)
                                            <- reclaim space number | reclaim number (to be ended)
                                            <- layers layers | settings settings, at the start and later
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

from supervisor.datagrams import Link, LinkClosed, Message
from supervisor.warden.cells import Cell, Ending
from supervisor.warden.changes import Changes
from supervisor.warden.code import Bundles
from supervisor.warden.registry import Registry, Want
from supervisor.warden.shares import Shares
from supervisor.warden.states import State

log = logging.getLogger("cellblock.leases")

DIGEST = re.compile(r"[0-9a-f]{64}")
# A cell that a front handed back and nobody took: its calls were a moment ago, more may come.
SPARE_SECONDS = 5.0

# How long a lease waits for a front to give up an instance that it does not need: it answers at once.
SPARE_ASK_S = 0.02

# What a front may have sent into its cells (worker.cell.SIGNALS).
FRONTS_SIGNALS = frozenset({"look", "dump", "freeze", "thaw"})

Key = tuple[str, str]
# What two requests have in common that may have each other's cell.
SAME_VERSION = ("key", "digest", "version", "tie")


class Request:
    """One lease that was asked for and not answered yet."""

    def __init__(self, session: Session, message: Message) -> None:
        self.session = session
        self.ticket: int = message["ticket"]
        self.key: Key = (message["space"], message["name"])
        self.digest: str = message["digest"]
        self.version: int = message["version"]
        self.is_check: bool = message["mode"] == "check"
        # For nobody's call: it waits for no other instance, and takes none away.
        self.is_keep: bool = message["mode"] == "keep"
        # What decides the kind of its cell.
        self.wanted = (message["runtime"], message["network"], message["imports"])
        self.most: int = message["max_instances"]
        self.tie: Message = message["tie"]
        self.deadline: asyncio.TimerHandle | None = None
        self.is_claimed = False
        self.is_answered = False
        self.want: Want | None = None

    def answer(self) -> None:
        """It gets its one answer now: its deadline is of no account any more."""
        self.is_answered = True
        if self.deadline is not None:
            self.deadline.cancel()


class Session:
    """One front and the cells that it holds."""

    def __init__(self, desk: Desk, sock: socket.socket) -> None:
        self.held: dict[str, Cell] = {}
        self._desk = desk
        self.link = Link(sock, lambda message, fds: desk.heard(self, message, fds), lambda: desk.left(self))

    def spaces(self) -> Counter[str]:
        """How many cells of each space it holds."""
        return Counter(self._desk.space_of(name) for name in self.held)

    def tell(self, message: Message, descriptors: list[int] | None = None) -> bool:
        """Send; False when the front is gone, which its closing link has already told the desk."""
        try:
            self.link.send(message, descriptors or [])
            return True
        except LinkClosed:
            return False


class Desk:
    """All fronts, all leases."""

    def __init__(self, bundles: Bundles, wait_seconds: float) -> None:
        self._bundles = bundles
        self.wait_seconds = wait_seconds
        self.sessions: set[Session] = set()
        self.shares = Shares(self.sessions)
        self.registry: Registry | None = None
        self._holder: dict[str, Session] = {}
        self._tied: dict[str, Request] = {}
        self._claims: Counter[Key] = Counter()
        self._at_limit: list[Request] = []
        # Of them, those who may start an instance of their own if no front has one to spare, by their ask.
        self._hoping: dict[int, Request] = {}
        self._asks = itertools.count(1)
        # Cells handed back that nobody has taken yet, and what their fronts remembered of them.
        self._spare: list[Cell] = []
        self._memories: dict[str, Message] = {}
        # What every front knows: the last message of each kind.
        self._news: dict[str, Message] = {}
        # Messages of fronts that are for others than the desk, by their name.
        self.others: dict[str, Callable[[Session, Message], None]] = {}
        self._changes = Changes(self.sessions)

    def join(self, sock: socket.socket) -> None:
        """A new front worker's end."""
        session = Session(self, sock)
        self.sessions.add(session)
        for message in self._news.values():
            session.tell(message)

    def publish(self, message: Message) -> None:
        """Every front learns it, and those to come will, until there is a newer one of its kind."""
        self._news[message["is"]] = message
        for session in list(self.sessions):
            session.tell(message)

    def left(self, session: Session) -> None:
        """A front is gone: its calls are lost, so its cells die with it."""
        self.sessions.discard(session)
        for cell in list(session.held.values()):
            cell.kill("front gone")
        self._changes.left(session)

    def heard(self, session: Session, message: Message, descriptors: list[int]) -> None:
        """Dispatch one message of a front."""
        what = message["do"]
        if what == "return":
            self._return(session, message, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        if what == "lease":
            self._lease(session, message)
        elif what == "kill":
            cell = session.held.get(message["cell"])
            if cell is not None:  # else it has ended already, and the front is about to hear so
                cell.kill(message["cause"])
        elif what == "signal":
            cell = session.held.get(message["cell"])
            if cell is not None and message["name"] in FRONTS_SIGNALS:
                cell.signal(message["name"])
        elif what == "changed":
            self._changes.announce(session, message["ticket"], message["space"], message["name"])
        elif what == "ack":
            self._changes.acknowledged(session, message["epoch"])
        elif what == "none":
            self._start_its_own(message["ask"])
        elif what == "count":
            replicas = self._claims[(message["space"], message["name"])]
            session.tell({"is": "count", "ticket": message["ticket"], "replicas": replicas})
        elif what in self.others:
            self.others[what](session, message)

    # ---- leases -----------------------------------------------------------------------------

    def _lease(self, session: Session, message: Message) -> None:
        request = Request(session, message)
        request.deadline = asyncio.get_running_loop().call_later(
            self.wait_seconds, lambda: self._too_late(request)
        )
        if not DIGEST.fullmatch(request.digest):
            self._refuse(request, "broken", "the bundle's digest is not one")
            return
        assert self.registry is not None
        if not self.registry.stock.has(runtime := request.wanted[0]):
            self._refuse(request, "broken", f"runtime {runtime} is not installed here")
            return
        self._place(request)

    def _holders(self, key: Key) -> list[Session]:
        if not self._claims[key]:
            return []
        return [other for other in self.sessions if any(self._tied[name].key == key for name in other.held)]

    def _place(self, request: Request, hopes: bool = True) -> None:
        """Claim an instance for the request, or let it wait for one to come back."""
        if self._take_spare(request):
            return
        if not request.is_check and self._claims[request.key] >= request.most:
            holders = self._holders(request.key)
            if request.is_keep or request.session in holders or not holders:
                # It waits for its own; or all are about to be somebody's: it will ask again.
                self._refuse(request, "limit", f"all {request.most} instances are in use")
                return
            self._at_limit.append(request)
            most_of_it = max(holders, key=lambda other: len(other.held))
            most_of_it.tell({"is": "reclaim", "space": request.key[0], "name": request.key[1], "number": 1})
            return
        if hopes and not request.is_check and not request.is_keep:
            holders = self._holders(request.key)
            if holders and request.session not in holders:
                self._hope(request, max(holders, key=lambda other: len(other.held)))
                return
        self._claim(request)
        assert self.registry is not None
        request.want = self.registry.want(
            self.registry.stock.kind(*request.wanted),
            lambda cell, reason: self._serve(request, cell, reason),
            request.key[0],
            request.is_keep,
        )
        self.shares.one_more_waits()

    def _hope(self, request: Request, holder: Session) -> None:
        """Another front may have one that it does not need; else this one starts its own a moment later."""
        ask = next(self._asks)
        self._hoping[ask] = request
        self._at_limit.append(request)
        asyncio.get_running_loop().call_later(SPARE_ASK_S, self._start_its_own, ask)
        space, name = request.key
        holder.tell({"is": "reclaim", "space": space, "name": name, "number": 0, "ask": ask})

    def _start_its_own(self, ask: int) -> None:
        request = self._hoping.pop(ask, None)
        if request in self._at_limit:  # else it was given one, or was refused
            self._at_limit.remove(request)
            self._place(request, hopes=False)

    def _claim(self, request: Request) -> None:
        request.is_claimed = not request.is_check
        if request.is_claimed:
            self._claims[request.key] += 1

    def _unclaim(self, request: Request) -> None:
        if request.is_claimed:
            request.is_claimed = False
            self._claims[request.key] -= 1
            if not self._claims[request.key]:
                del self._claims[request.key]
            self._retry_at_limit(request.key)

    def _retry_at_limit(self, key: Key) -> None:
        for request in self._at_limit:
            if request.key == key:
                self._at_limit.remove(request)
                self._place(request)
                return

    def space_of(self, cell: str) -> str:
        """Whose a tied cell is."""
        return self._tied[cell].key[0]

    def _serve(self, request: Request, cell: Cell | None, reason: str) -> None:
        """A blank cell is here (or none can be): tie it and hand it over."""
        if request.is_answered or request.session.link.is_closed:
            self._unclaim(request)  # nobody waits any more; the cell stays blank
            return
        if cell is None:
            self._refuse(request, "capacity", reason)
            return
        try:
            code = self._bundles.open(request.digest)
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
        self._tied[cell.name] = request
        self.shares.took(request.key[0])
        self._hand_over(request, cell, {})

    def _hand_over(self, request: Request, cell: Cell, memory: Message) -> None:
        request.answer()
        self._holder[cell.name] = request.session
        request.session.held[cell.name] = cell
        message = {"is": "leased", "ticket": request.ticket, "cell": cell.name, "memory": memory}
        if not request.session.tell(message, cell.pipes.as_list()):
            cell.kill("front gone")
        # The front has its own copies: with ours open nobody would see the cell's end close.
        cell.pipes.close()

    def _return(self, session: Session, message: Message, descriptors: list[int]) -> None:
        cell = session.held.get(message["cell"])
        if cell is None or cell.state is not State.LEASED or len(descriptors) != 4:
            for descriptor in descriptors:
                os.close(descriptor)
            if cell is not None:
                cell.kill("released")  # without its pipes it is of no use to anybody
            return
        del session.held[cell.name]
        del self._holder[cell.name]
        cell.returned(descriptors)
        self._memories[cell.name] = message["memory"]
        for request in self._at_limit:
            if self._is_same_version(request, self._tied[cell.name]):
                self._at_limit.remove(request)
                self._lease_again(request, cell)
                return
        # Its front was asked for it, but whoever wanted it has gone: it keeps for the next of its kind.
        self._spare.append(cell)
        asyncio.get_running_loop().call_later(SPARE_SECONDS, self._drop_spare, cell)

    def _drop_spare(self, cell: Cell) -> None:
        if cell in self._spare:
            self._spare.remove(cell)
            cell.kill("released")

    def _take_spare(self, request: Request) -> bool:
        """Lease a returned cell of the same version again; those of other versions end now."""
        for cell in [cell for cell in self._spare if self._tied[cell.name].key == request.key]:
            self._spare.remove(cell)
            if not request.is_check and self._is_same_version(request, self._tied[cell.name]):
                self._lease_again(request, cell)
                return True
            cell.kill("released")
        return False

    @staticmethod
    def _is_same_version(request: Request, tied: Request) -> bool:
        # The limits too: they may have changed without a deploy, when the settings did.
        return all(getattr(request, name) == getattr(tied, name) for name in SAME_VERSION)

    def _lease_again(self, request: Request, cell: Cell) -> None:
        tied = self._tied[cell.name]
        # The claim stays with the cell; only the one who holds it changes.
        request.is_claimed, tied.is_claimed = tied.is_claimed, False
        self._tied[cell.name] = request
        cell.leased_again()
        self._hand_over(request, cell, self._memories.pop(cell.name))

    def _too_late(self, request: Request) -> None:
        if request in self._at_limit:
            self._at_limit.remove(request)
            self._refuse(request, "limit", f"all {request.most} instances stayed in use")
        else:
            self._refuse(request, "capacity", f"no cell came free in {self.wait_seconds:g} s")

    def _refuse(self, request: Request, reason: str, message: str) -> None:
        if request.want is not None and self.registry is not None:
            self.registry.forget(request.want)  # else it would keep asking for a cell that nobody wants
        request.answer()
        request.session.tell(
            {"is": "refused", "ticket": request.ticket, "reason": reason, "message": message}
        )
        self._unclaim(request)

    def met(self, cell: Cell, what: str, peak_bytes: int) -> None:
        """It has met a limit, or has a new peak: its front decides; one that nobody has ends."""
        session = self._holder.get(cell.name)
        if session is not None:
            session.tell({"is": "met", "cell": cell.name, "what": what, "peak_bytes": peak_bytes})
        elif what:
            self._drop_spare(cell)

    def ended(self, cell: Cell, ending: Ending) -> None:
        """A cell has been reaped: its front hears why, its claim is free."""
        session = self._holder.pop(cell.name, None)
        if session is not None:
            session.held.pop(cell.name, None)
            session.tell({"is": "ended", "cell": cell.name, **asdict(ending)})
        if cell in self._spare:
            self._spare.remove(cell)
        self._memories.pop(cell.name, None)
        request = self._tied.pop(cell.name, None)
        if request is not None:
            self.shares.gave_up(request.key[0])
            self._unclaim(request)

    def close(self) -> None:
        """At shutdown, after the fronts have gone."""
        for session in list(self.sessions):
            session.link.close()
        self._bundles.close()
