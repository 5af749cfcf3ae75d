"""The warden's real books on a host that a test plays: its zygote, its cells and its fronts are scripts.

Desk, Registry, CellRoll, Accounts, Cell, Children and the zygote's handle are the product's own, on real
sockets and pipes.  The processes at the other ends are scripts, which do what no process does on request.
Time is the test's too: ``advance`` moves the clock and lets everything happen that is due.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from supervisor import datagrams
from supervisor.bundles.whole_mark import WHOLE_MTIME
from supervisor.datagrams import Plain, pair
from supervisor.function_limits import DEFAULT_CEILINGS
from supervisor.link_messages import LINK, TO_FRONT, CellEnded, Leased, LeaseRefusal
from supervisor.runtimes import Runtime
from supervisor.warden.cells import held_cell
from supervisor.warden.cells.code_mount import Bundles
from supervisor.warden.cells.confinement import Confinement
from supervisor.warden.cells.uid_pool import UidPool
from supervisor.warden.jail.cgroups import Cgroups
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch.zygote_prestart import PrestartedZygote
from supervisor.warden.leases import accounts, desk, space_shares
from supervisor.warden.leases.desk import Desk
from supervisor.warden.metrics.metric_rounds import CellsMost, MetricRounds
from supervisor.warden.processes import Children
from supervisor.warden.supply import registry, roll
from supervisor.warden.supply.preload import ImportProfile, preloaded_names
from supervisor.warden.supply.registry import Registry
from supervisor.warden.survey_rounds import Surveys
from worker.setup_messages import SETUP, TO_CELL, Blank, Cloned, Surroundings, Tie, Tied
from worker.zygote_messages import TO_ZYGOTE, ZYGOTE, Ready, Spawned

# Above every number that the kernel gives a process: nobody real is meant by it.
FIRST_PID = 1 << 23
ZYGOTE_PID = FIRST_PID - 1
QUEUE_SECONDS = 10.0
# More turns of the loop than any exchange here needs.
TURNS = 60
TURNS_A_GROUP = 20
DIGEST = "ab" * 32
RUNTIME = Runtime("python3.11", Path("/bin/false"), "3.11", Path("/"), (), False)
TIE = {"tmp_bytes": 1 << 20, "open_files": 64, "processes": 8, "memory_bytes": 1 << 24, "cpu": 1.0,
       "is_fresh": False}  # fmt: skip


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time a test can move."""

    ahead_s = 0.0

    def time(self) -> float:
        """The clock's, and what it was moved by."""
        return super().time() + self.ahead_s


@contextmanager
def dead_process() -> Iterator[Callable[[], int]]:
    """One that has ended and is not reaped: its descriptors, each a new one, can be signalled in vain."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        yield lambda: os.pidfd_open(pid)
    finally:
        os.waitpid(pid, 0)


@dataclass(eq=False)
class ScriptedCell:
    """Pid 1 and its worker, as far as the warden hears of them."""

    pid: int
    setup: socket.socket
    pipes: list[int]
    heard: list[type] = field(default_factory=list)

    def listen(self) -> None:
        """Take what the warden has sent."""
        while True:
            try:
                received = datagrams.receive(self.setup)
            except BlockingIOError:
                return
            if received is None:
                return
            plain, descriptors = received
            for descriptor in descriptors:
                os.close(descriptor)
            self.heard.append(type(SETUP.decode(TO_CELL, plain, len(descriptors))))

    def say(self, message: object) -> None:
        """To the warden; for nothing if it has hung up."""
        try:
            datagrams.send(self.setup, SETUP.encode(message))
        except OSError:
            return

    def go_on(self) -> None:
        """The next word that an honest cell would say."""
        self.listen()
        if self.heard[-1:] == [Surroundings]:
            self.heard.append(Blank)
            self.say(Blank())
        elif self.heard[-1:] == [Tie]:
            self.heard.append(Tied)
            self.say(Tied([]))

    def close(self) -> None:
        """The kernel takes what it had."""
        self.setup.close()
        for descriptor in self.pipes:
            os.close(descriptor)
        self.pipes = []


@dataclass(eq=False)
class ScriptedFront:
    """A front: what it asked for, has, and was told."""

    sock: socket.socket
    is_gone: bool = False
    asked: dict[int, tuple[str, str]] = field(default_factory=dict)
    held: dict[str, tuple[tuple[str, str], list[int]]] = field(default_factory=dict)
    ended: list[CellEnded] = field(default_factory=list)
    refused: list[LeaseRefusal] = field(default_factory=list)

    def listen(self) -> None:
        """Take what the warden has sent."""
        while not self.is_gone:
            try:
                received = datagrams.receive(self.sock)
            except BlockingIOError:
                return
            if received is None:
                self.leave()
                return
            plain, descriptors = received
            message = LINK.decode(TO_FRONT, plain, len(descriptors))
            if isinstance(message, Leased):
                self.held[message.cell] = (self.asked.pop(message.ticket), descriptors)
                continue
            for descriptor in descriptors:
                os.close(descriptor)
            if isinstance(message, LeaseRefusal):
                self.asked.pop(message.ticket)
                self.refused.append(message)
            elif isinstance(message, CellEnded):
                self.ended.append(message)
                self._forget(message.cell)

    def send(self, plain: Plain, descriptors: list[int] | None = None) -> None:
        """To the warden, whatever it is; for nothing if it has hung up."""
        try:
            datagrams.send(self.sock, plain, descriptors or [])
        except OSError:
            self.listen()

    def give_back(self, cell: str) -> None:
        """Return a cell with its pipe ends."""
        _, descriptors = self.held[cell]
        memory = {"is_async": 0, "next_call": 1, "served": 0}
        self.send({"do": "return", "cell": cell, "memory": memory}, descriptors)
        self._forget(cell)

    def _forget(self, cell: str) -> None:
        for descriptor in self.held.pop(cell, (("", ""), []))[1]:
            os.close(descriptor)

    def leave(self) -> None:
        """Its end, whatever it had."""
        self.is_gone = True
        self.sock.close()
        self.asked.clear()
        for cell in list(self.held):
            self._forget(cell)


class ScriptedHost:
    """One warden's worth of books; ``pidfd()`` makes the descriptor of a cell's process."""

    def __init__(self, loop: Clock, confinement: Confinement, most: int, pidfd: Callable[[], int]) -> None:
        self.loop = loop
        self._confinement = confinement
        self._pidfd = pidfd
        self._pids = iter(range(FIRST_PID, FIRST_PID + (1 << 20)))
        self.cells: list[ScriptedCell] = []
        self.fronts: list[ScriptedFront] = []
        self._pid_of: dict[str, int] = {}
        ours, self._zygote = pair()
        self._zygote.setblocking(False)
        wanted = (RUNTIME, preloaded_names(ImportProfile.OWN, ()), False, None)
        self.children = Children({wanted: PrestartedZygote(ZYGOTE_PID, ours)})
        self.desk = Desk(confinement.bundles, QUEUE_SECONDS, DEFAULT_CEILINGS)
        self.slots = UidPool(range(100_000, 200_000), most)
        self.registry = Registry(
            (RUNTIME,), preload=(), huge_pages=False, blank_cells=1, blank_most=0, slots=self.slots,
            confinement=confinement, children=self.children, shares=self.desk.shares,
            on_end=self.desk.ended, on_mend=self.desk.mend, on_met=self.desk.met,
            on_change=lambda: None, on_layers=lambda: None,
        )  # fmt: skip
        self.desk.registry = self.registry
        Surveys(
            self.desk, self.registry, MetricRounds(self.desk, self.registry, lambda: CellsMost(16, 0), 10)
        )
        datagrams.send(self._zygote, ZYGOTE.encode(Ready([])))

    # ---- the host's side --------------------------------------------------------------------

    async def settle(self) -> None:
        """Until everybody has heard what there is to hear."""
        for turn in range(TURNS):
            await asyncio.sleep(0)
            if turn % TURNS_A_GROUP == 0:
                await self._confinement.warm_up()  # its thread has done what cells asked of it before
            self._clone()
            self._pid_of |= {cell.name: cell.pid for cell in self.registry.cells.values()}
            for front in self.fronts:
                front.listen()

    def _clone(self) -> None:
        while True:
            try:
                received = datagrams.receive(self._zygote)
            except BlockingIOError:
                return
            if received is None:
                return
            plain, descriptors = received
            ZYGOTE.decode(TO_ZYGOTE, plain, len(descriptors))
            setup, *pipes = descriptors
            cell = ScriptedCell(next(self._pids), socket.socket(fileno=setup), pipes)
            cell.setup.setblocking(False)
            self.cells.append(cell)
            pidfd = self._pidfd()
            datagrams.send(self._zygote, ZYGOTE.encode(Spawned(cell.pid)), [pidfd])
            os.close(pidfd)
            cell.say(Cloned())

    async def advance(self, seconds: float) -> None:
        """Time goes on."""
        self.loop.ahead_s += seconds
        await self.settle()

    def join(self) -> ScriptedFront:
        """A new front."""
        ours, theirs = pair()
        theirs.setblocking(False)
        self.desk.join(ours)
        self.fronts.append(ScriptedFront(theirs))
        return self.fronts[-1]

    def reap(self, cell: ScriptedCell, status: int, error_at: int = -1) -> bool:
        """The kernel reports the end of pid 1; an error is raised at that line of its handling, if any.

        False if the handling has no such line.
        """
        self.cells.remove(cell)
        cell.close()
        with error_at_line(error_at) as was_reached:
            self.children.ended(cell.pid, status)
        return was_reached()

    # ---- what is true -----------------------------------------------------------------------

    def living(self, key: tuple[str, str, int]) -> int:
        """Cells of this version that fronts were given and whose processes have not been reaped."""
        alive = {cell.pid for cell in self.cells}
        given = {name: held[0] for front in self.fronts for name, held in front.held.items()}
        return sum(whose == key and self._pid_of[name] in alive for name, whose in given.items())

    async def close(self) -> None:
        """Everybody leaves, and everything is closed; once."""
        if self._zygote.fileno() < 0:
            return
        for front in self.fronts:
            front.leave()
        self.registry.stop()
        while self.desk.sessions:  # links that rest wake, and hear the rest of a flood
            await self.advance(1.0)
        for cell in list(self.cells):
            self.reap(cell, 9)
        await self.settle()
        assert not self.cells
        self._zygote.shutdown(socket.SHUT_RDWR)
        await self.settle()
        self._zygote.close()


class Injected(Exception):
    """The error that a test put into a line."""


# Where an end is handled: everything below ``Children.ended`` but the loop that takes the steps.
TRACED = frozenset(module.__file__ for module in (accounts, held_cell, desk, registry, roll, space_shares))


def _is_a_beginning(frame: FrameType | None) -> bool:
    """Whether a cell is being made here: one that takes the place of the one that ended."""
    while frame is not None:
        if frame.f_code.co_name == "_grow":
            return True
        frame = frame.f_back
    return False


@contextmanager
def error_at_line(number: int) -> Iterator[Callable[[], bool]]:
    """Raise Injected before the ``number``-th line that runs in TRACED is executed; never for -1.

    What it gives says whether there was such a line.
    """
    seen = 0

    def step(_: FrameType, event: str, __: Any) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == number + 1:
                sys.settrace(None)
                raise Injected(f"at line {number}")
        return step

    def enter(frame: FrameType, _: str, __: Any) -> Any:
        return step if frame.f_code.co_filename in TRACED and not _is_a_beginning(frame) else None

    before = sys.gettrace()
    if number >= 0:
        sys.settrace(enter)
    try:
        yield lambda: seen > number
    finally:
        sys.settrace(before)


def whole(bundle: Path) -> None:
    """Mark the folder of a bundle as its front does when nothing of it is missing."""
    os.utime(bundle, (0, WHOLE_MTIME))


def unconfined(folder: Path) -> Confinement:
    """A confinement without namespaces and cgroups, with one bundle."""
    (folder / DIGEST).mkdir()
    whole(folder / DIGEST)
    return Confinement(Tier.NONE, Cgroups("scripted", {}), {}, Bundles(folder, as_mounts=False), None, {})


def lease(ticket: int, key: tuple[str, str, int], most: int, mode: str = "serve") -> Plain:
    """What a front says that wants a cell, as it travels."""
    return {
        "do": "lease", "ticket": ticket, "mode": mode, "space": key[0], "name": key[1], "version": key[2],
        "digest": DIGEST, "runtime": RUNTIME.name, "network": "none", "imports": [], "max_instances": most,
        "tie": TIE,
    }  # fmt: skip
