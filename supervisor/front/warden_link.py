"""The front's end of its link to the warden: leases, endings, changes.

Messages are listed in ``supervisor.warden.leases.desk``; this file turns them into awaitables.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from supervisor.datagrams import Link, LinkClosed, Message, pages
from supervisor.errors import BREACHED, PlatformError

log = logging.getLogger("cellblock.front")

# The warden answers a lease within queue_seconds and a change within 2 s; this much later it is stuck.
ANSWER_SLACK_S = 5.0


# Rows of a survey, and the pid of the front that they are from; 0 is the warden.
Page = tuple[int, list[list[Any]]]

PIPES = 4  # that come with a lease, and one more where no process may serve two calls

# What the warden takes as the reason of a start that failed (``supervisor.warden.leases.front_messages``).
REASON_MOST = 1000

# Endings in the warden's words that are the platform's own.
PLATFORM_CAUSES = ("breached", "not started")
DRAINED = "drained"  # the cause of ours that ends calls which outlast the drain


class LeaseRefused(Exception):
    """The warden gave no cell; ``reason`` is limit, capacity or broken.

    ``is_importing``: all instances that there may be are other fronts', and one of them imports.
    """

    def __init__(self, reason: str, message: str, is_importing: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.is_importing = is_importing


@dataclass(frozen=True)
class Lease:
    """A cell for one version: its name, what a former holder remembered of it, its pipe ends."""

    cell: str
    memory: Message
    pipes: list[int]


@dataclass(frozen=True)
class Ending:
    """How a leased cell ended, in the warden's words."""

    cause: str
    signal: int
    code: int
    reason: str
    peak_bytes: int = 0

    def caused_by(self, ours: Ending) -> Ending:
        """Why it was ended is ours to say; what it had is the warden's."""
        return replace(ours, reason=ours.reason or self.reason, peak_bytes=self.peak_bytes)

    def platform_error(self) -> PlatformError | None:
        """The 503 of an ending that is no fault of the function's; None for all others."""
        if self.cause == DRAINED:
            why = "the server is shutting down and the call did not end in time: it may have happened in part"
            return PlatformError(503, why, headers={"Retry-After": "2"})
        if self.cause not in PLATFORM_CAUSES:
            return None
        why = BREACHED if self.cause == "breached" else f"a cell could not be made: {self.reason}"
        return PlatformError(503, f"{why}; try again", {"reason": self.cause}, {"Retry-After": "5"})


class WardenLink:
    """One per front worker."""

    def __init__(self, sock: socket.socket, answer_seconds: float, on_lost: Callable[[], None]) -> None:
        self._link = Link(sock, self._heard, self._lost)
        self._answer_seconds = answer_seconds + ANSWER_SLACK_S
        self._on_lost = on_lost
        self._tickets = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        # What is really in force, in the warden's words; see supervisor.warden.cells.confinement.
        self.layers: list[dict[str, str]] = []
        # Set once the warden has said which settings are in force.
        self.is_told = asyncio.Event()
        # Wired by the front before the first message can arrive.
        self.on_ended: Callable[[str, Ending], None] = lambda cell, ending: None
        self.on_met: Callable[[str, str, int], None] = lambda cell, what, peak_bytes: None
        self.on_changed: Callable[[str, str], None] = lambda space, name: None
        self.on_reclaim: Callable[[str, str, int], None] = lambda space, name, number: None
        self.on_spare: Callable[[str, str], bool] = lambda space, name: False
        self.on_survey: Callable[[str], tuple[list[list[Any]], int]] = lambda space: ([], 0)
        self._pages: dict[int, list[Page]] = {}
        self.on_settings: Callable[[Message], None] = lambda values: None

    @property
    def is_up(self) -> bool:
        """Whether the warden is there."""
        return not self._link.is_closed

    async def lease(self, request: Message) -> Lease:
        """A cell tied to the version that ``request`` names.  LeaseRefused."""
        answer, descriptors = await self._ask({**request, "do": "lease"})
        if answer["is"] == "refused":
            raise LeaseRefused(answer["reason"], answer["message"], answer["is_importing"])
        if len(descriptors) != PIPES + request["tie"]["is_fresh"]:
            # The kernel leaves out what there is no room for.
            self._unwanted(answer, descriptors)
            raise LeaseRefused("capacity", "this front has no descriptors left for its pipes")
        return Lease(answer["cell"], answer["memory"], descriptors)

    def kill(self, cell: str, cause: str) -> None:
        """End a leased cell now."""
        self._tell({"do": "kill", "cell": cell, "cause": cause})

    def leave(self, cell: str, cause: str) -> None:
        """It ends by itself, or in LAST_SECONDS; its place is free now."""
        self._tell({"do": "leave", "cell": cell, "cause": cause})

    def signal(self, cell: str, name: str) -> None:
        """Have a leased cell's worker ``look`` into its pipe, or ``dump`` its stacks."""
        self._tell({"do": "signal", "cell": cell, "name": name})

    def give_back(self, cell: str, memory: Message, pipes: list[int]) -> None:
        """Return an idle cell with copies of our pipe ends; the caller closes its own."""
        self._tell({"do": "return", "cell": cell, "memory": memory}, pipes)

    async def changed(self, space: str, name: str) -> None:
        """Return once the other fronts know that a function (or, name "", a space's values) changed."""
        await self._ask({"do": "changed", "space": space, "name": name})

    def start(self, cell: str, whose: tuple[str, str, int], state: str, reason: str = "") -> None:
        """How a start goes: ``importing``, ``ready`` or ``failed``; ``whose``: space, name, version."""
        space, name, version = whose
        told = {"do": "start", "cell": cell, "space": space, "name": name, "version": version}
        with contextlib.suppress(PlatformError):  # the warden is gone, and we are about to be
            self._tell({**told, "state": state, "reason": reason[:REASON_MOST]})

    async def count(self, space: str, name: str) -> tuple[int, int, str]:
        """Instances of a function over all fronts; the version whose last start failed (0: none), and why."""
        answer, _ = await self._ask({"do": "count", "space": space, "name": name})
        version, reason = answer["failed"]
        return answer["replicas"], version, reason

    async def renew(self) -> list[str]:
        """Have every zygote that runs replaced; the names of their runtimes."""
        answer, _ = await self._ask({"do": "renew"})
        names: list[str] = answer["runtimes"]
        return names

    async def survey(self, space: str) -> tuple[Message, list[Page]]:
        """What every front told of the space's functions ("" for all), and the last word of the warden."""
        ticket = next(self._tickets)
        rows = self._pages[ticket] = []
        try:
            last, _ = await self._ask({"do": "survey", "space": space}, ticket)
        finally:
            del self._pages[ticket]
        return last, rows

    def _tell_pages(self, number: int, rows: list[list[Any]], left_out: int) -> None:
        told = {"do": "page", "number": number, "front": os.getpid()}
        for page in pages(rows):
            self._tell({**told, "rows": page, "is_last": False})
        self._tell({**told, "rows": [], "is_last": True, "left_out": left_out})

    def retune(self, answer_seconds: float) -> None:
        """The warden has so long for a lease from now on."""
        self._answer_seconds = answer_seconds + ANSWER_SLACK_S

    async def _ask(self, message: Message, ticket: int = 0) -> tuple[Message, list[int]]:
        ticket = ticket or next(self._tickets)
        future: asyncio.Future[tuple[Message, list[int]]] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        try:
            self._tell({**message, "ticket": ticket})
            return await asyncio.wait_for(future, self._answer_seconds)
        except TimeoutError:
            raise PlatformError(
                503,
                "the server is overloaded: its warden did not answer; try again",
                headers={"Retry-After": "5"},
            ) from None
        finally:
            self._waiting.pop(ticket, None)

    def _tell(self, message: Message, descriptors: list[int] | None = None) -> None:
        try:
            self._link.send(message, descriptors or [])
        except LinkClosed:
            raise PlatformError(
                503, "the server is shutting down; try again", headers={"Retry-After": "2"}
            ) from None

    def _heard(self, message: Message, descriptors: list[int]) -> None:
        what = message["is"]
        if what in ("leased", "refused", "done", "count", "renewed", "surveyed"):
            future = self._waiting.pop(message["ticket"], None)
            if future is not None and not future.done():
                future.set_result((message, descriptors))
                return
            self._unwanted(message, descriptors)
        elif what == "ended":
            names = ("cause", "signal", "code", "reason", "peak_bytes")
            ending = Ending(*(message[name] for name in names))
            self.on_ended(message["cell"], ending)
        elif what == "met":
            self.on_met(message["cell"], message["what"], message["peak_bytes"])
        elif what == "changed":
            self.on_changed(message["space"], message["name"])
            self._tell({"do": "ack", "epoch": message["epoch"]})
        elif what == "layers":
            self.layers = message["layers"]
        elif what == "survey":
            self._tell_pages(message["number"], *self.on_survey(message["space"]))
        elif what == "page":
            if message["ticket"] in self._pages:
                self._pages[message["ticket"]].append((message["front"], message["rows"]))
        elif what == "settings":
            self.on_settings(message["settings"])
            self.is_told.set()
        elif what == "reclaim" and "ask" in message:
            if not self.on_spare(message["space"], message["name"]):
                self._tell({"do": "none", "ask": message["ask"]})
        elif what == "reclaim":
            self.on_reclaim(message["space"], message["name"], message["number"])

    def _unwanted(self, message: Message, descriptors: list[int]) -> None:
        """An answer that nobody waits for any more: a cell among them must not be forgotten."""
        for descriptor in descriptors:
            os.close(descriptor)
        if message["is"] == "leased":
            self.kill(message["cell"], "released")

    def _lost(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(
                    PlatformError(503, "the server is shutting down; try again", headers={"Retry-After": "2"})
                )
        self._on_lost()
