"""The guard of memory: looks at each running cell, and does what ``memory`` decides.

Where a cgroup counts, the kernel's events wake it and a look costs microseconds.  Elsewhere a thread reads
the processes one by one, which is soft: between two looks a function can take more than its limit, and
the host has to stand that.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import select
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from supervisor.warden.memory import memory_policy, process_memory
from supervisor.warden.memory.memory_meters import Counted, Meter
from supervisor.warden.memory.memory_policy import Look, Verdict, Watched

log = logging.getLogger("cellblock.memory")

EVIDENCE = f"looked at every {memory_policy.LOOK_EVERY_S:g} s, so a function may have more for a moment"
COUNTED = "the kernel counts what a cell's processes touch, and wakes the guard"
EVENTS_AT_ONCE = 64
NOTHING = Look(0, 0)
# A leaf's limit is reached a little before its usage reads so.
AT_THE_LIMIT_BYTES = 2 * memory_policy.MIB

_T = TypeVar("_T")


class Excess(enum.Enum):
    """Which memory a cell that has to end had too much of."""

    TOUCHED = "what the function may touch"
    HELD = "what the kernel lets the cell have"
    OF_ALL = "what all cells together may have, or the host has"


@dataclass(frozen=True)
class Hooks:
    """Who acts.  ``on_peak``: nothing but a new one, in bytes."""

    on_tell: Callable[[int], None] = lambda peak: None
    on_kill: Callable[[int, Excess], None] = lambda peak, excess: None
    on_peak: Callable[[int], None] = lambda peak: None
    on_processes: Callable[[], None] = lambda: None


@dataclass
class _Cell:
    name: str
    pid: int
    meter: Meter
    base: Counted | Look | None = None
    watched: Watched | None = None
    hooks: Hooks = field(default_factory=Hooks)
    tmp_bytes: int = 0
    told_peak: int = 0
    has_rung: bool = False
    usage: int = 0
    # What of its usage is page cache, /tmp and the kernel's, as of the last look.
    others: int = 0
    has_own_tmp: bool = True
    # The limit of its group, where that holds who touches more.
    held_at: int = 0
    is_lifted: bool = False
    is_lifting: bool = False
    is_deaf: bool = False
    is_busy: bool = False  # a thread has it in hand
    has_ended: bool = False
    last_event: float = 0.0
    patience_s: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Guard:
    """Cells by name, from blank to their end."""

    def __init__(self, is_counted: bool, has_namespaces: bool) -> None:
        """``is_counted``: the kernel counts each cell's memory."""
        self.is_counted = is_counted
        self._has_namespaces = has_namespaces
        self._cells: dict[str, _Cell] = {}
        self._by_bell: dict[int, _Cell] = {}
        self._bells = select.epoll()
        self._is_listening = False
        # One: who is looked at next waits until the last ones were.
        self._thread = ThreadPoolExecutor(1, "memory")
        # Why it sees nothing; "" while it does.
        self.blindness = "" if is_counted else process_memory.blindness()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    # ---- the life of a cell -----------------------------------------------------------------

    def blank(self, name: str, pid: int, meter: Meter) -> None:
        """A cell is complete but for its function: what it has now is not the function's.  OSError."""
        if not self._is_listening:  # there is a loop by now
            self._is_listening = True
            self._loop.add_reader(self._bells.fileno(), self._rung)
        cell = self._cells[name] = _Cell(name, pid, meter, has_own_tmp=self._has_namespaces)
        meter.listen(self._bells)
        for bell in (meter.bell, meter.processes_bell):
            if bell >= 0:
                self._by_bell[bell] = cell
        if self.is_counted:
            cell.base = meter.look()
        else:
            self._read(cell, -1, lambda look: self._has_base(cell, look))

    def _has_base(self, cell: _Cell, base: Look) -> None:
        cell.base = cell.base or base
        if not base.resident:
            self.blindness = "the host's /proc hides the cells' processes from the server"

    def watch(self, name: str, limit_bytes: int, tmp_bytes: int, hooks: Hooks) -> None:
        """It is leased, with so much memory and so much ``/tmp``."""
        cell = self._cells[name]
        if cell.base is None and self.is_counted:  # it is just ending
            cell.base = Counted(0, 0, 0)
        if cell.base is None:  # it became blank this very moment
            self._has_base(cell, process_memory.look_or_none(cell.pid, -1) or NOTHING)
        cell.hooks, cell.tmp_bytes = hooks, tmp_bytes
        cell.held_at = memory_policy.kernel_bytes(limit_bytes, tmp_bytes)
        cell.watched = memory_policy.begin(limit_bytes, self._loop.time(), self.is_counted)
        if isinstance(cell.base, Counted):
            usage = cell.base.usage + limit_bytes
            cell.meter.slow_down_at(usage)
            self._in_thread(cell, lambda: cell.meter.wake_at(usage), lambda _: None)
        self._look_later(cell, cell.watched.next_look)

    def freeze(self, name: str, is_frozen: bool) -> None:
        """Its front stops it while it is idle, or lets it go on."""
        cell = self._cells.get(name)
        if cell is not None and cell.watched is not None:
            cell.watched = memory_policy.frozen(cell.watched, is_frozen, self._loop.time())
            self._look_later(cell, cell.watched.next_look)

    def used(self, name: str) -> int:
        """What was touched at the last look, bytes; 0 for a cell that nobody has."""
        watched = self._cells[name].watched if name in self._cells else None
        return watched.used if watched is not None else 0

    def peak(self, name: str, kills: int = 0) -> int:
        """The most that was seen, bytes; what the kernel saw, where it was quicker and has killed."""
        cell = self._cells.get(name)
        if cell is None or cell.watched is None:
            return 0
        if kills and isinstance(cell.base, Counted):
            most = cell.meter.most_usage() - cell.base.usage - cell.others
            return max(cell.watched.peak, most)
        return cell.watched.peak

    def forget(self, name: str) -> None:
        """It has ended."""
        cell = self._cells.pop(name, None)
        if cell is None:
            return
        cell.has_ended = True
        if cell.timer is not None:
            cell.timer.cancel()
        for bell in (cell.meter.bell, cell.meter.processes_bell):
            self._by_bell.pop(bell, None)
        cell.meter.silence(self._bells)  # at once: when its leaf goes the kernel rings for that too
        if not cell.is_busy:  # else a thread has its descriptors in hand
            cell.meter.close()

    # ---- waking -----------------------------------------------------------------------------

    def _look_later(self, cell: _Cell, at: float) -> None:
        if cell.timer is not None:
            cell.timer.cancel()
            cell.timer = None
        if cell.watched is not None and (not cell.watched.is_frozen or cell.is_deaf):
            cell.timer = self._loop.call_at(at, self._is_due, cell)

    def _is_due(self, cell: _Cell) -> None:
        cell.timer = None
        if cell.is_deaf:
            cell.is_deaf = False
            cell.meter.hear(self._bells)
        self._look(cell)

    def _rung(self) -> None:
        """Whatever rings is looked at once; who rings on has to wait a little longer each time."""
        for bell, _ in self._bells.poll(0, EVENTS_AT_ONCE):
            cell = self._by_bell.get(bell)
            if cell is None:
                continue  # it ended in this very turn
            if bell == cell.meter.processes_bell:
                self._processes_rang(cell)
                continue
            now = self._loop.time()
            cell.meter.rung()
            cell.has_rung = True
            if now - cell.last_event > 2 * memory_policy.EVENT_MOST_S:
                cell.patience_s = 0.0
                self._look(cell)
            else:
                cell.patience_s = memory_policy.next_patience(cell.patience_s)
                cell.meter.deafen(self._bells)
                cell.is_deaf = True
                self._look_later(cell, now + cell.patience_s)
            cell.last_event = now

    def _processes_rang(self, cell: _Cell) -> None:
        if cell.meter.has_met_processes():
            self._by_bell.pop(cell.meter.processes_bell)
            cell.meter.forget_processes(self._bells)
            cell.hooks.on_processes()

    # ---- looking ----------------------------------------------------------------------------

    def _look(self, cell: _Cell) -> None:
        if cell.watched is None or cell.has_ended:
            return
        if cell.meter.processes_bell >= 0:
            self._processes_rang(cell)  # v1 does not ring for them
        if isinstance(cell.base, Counted):
            counted = cell.meter.look()
            if counted is not None:
                in_tmp = self._in_tmp(cell, counted)
                base = cell.base.anonymous + cell.base.shared
                used = memory_policy.used_by_counters(counted.anonymous, counted.shared, in_tmp, base)
                cell.usage = counted.usage
                cell.others = max(0, counted.usage - cell.base.usage - used)
                top = cell.base.usage + cell.others + memory_policy.top_of(cell.watched)
                if top >= counted.usage:  # below, this loop would have to give up the cell's pages
                    cell.meter.slow_down_at(top)
                self._has_looked(cell, used)
        else:
            base_look = cell.base if isinstance(cell.base, Look) else NOTHING
            limit = cell.watched.limit_bytes
            self._read(
                cell,
                memory_policy.suspicious_from(base_look, limit),
                lambda look: self._has_looked(cell, memory_policy.used_by_look(look, base_look, limit)),
            )

    def _in_tmp(self, cell: _Cell, counted: Counted) -> int:
        """What of the shared memory is the files of /tmp."""
        if not counted.shared:
            return 0
        if cell.has_own_tmp:
            try:
                found = os.statvfs(os.path.join("/proc", str(cell.pid), "root", "tmp"))
                # What was deleted since the counters were read may be in them still.
                return min(cell.tmp_bytes, (found.f_blocks - found.f_bfree) * found.f_frsize)
            except OSError:  # it is ending; or may not be looked into
                pass
        return min(cell.tmp_bytes, counted.shared)

    def _has_looked(self, cell: _Cell, used: int) -> None:
        if cell.watched is None or cell.has_ended:
            return
        now = self._loop.time()
        cell.watched = memory_policy.after_look(cell.watched, used, now)
        verdict = memory_policy.verdict(cell.watched, now)
        is_near = cell.usage + AT_THE_LIMIT_BYTES >= cell.held_at
        excess = Excess.TOUCHED
        if is_near and cell.meter.is_held():
            verdict = memory_policy.verdict_when_held(cell.watched, cell.is_lifted, now)
            if used <= cell.watched.limit_bytes:
                excess = Excess.HELD
            self._lift_later(cell)
        elif cell.has_rung and cell.meter.kills():
            verdict = Verdict.KILL  # by the kernel; v1 leaves half a cell
            excess = Excess.HELD if cell.meter.has_met_its_limit() else Excess.OF_ALL
        cell.has_rung = False
        self._act(cell, verdict, excess, now)
        if not cell.has_ended and cell.watched is not None:
            self._look_later(cell, max(cell.watched.next_look, now))

    def _act(self, cell: _Cell, verdict: Verdict, excess: Excess, now: float) -> None:
        assert cell.watched is not None
        peak = cell.watched.peak
        if memory_policy.is_news(peak, cell.told_peak, cell.watched.limit_bytes):
            cell.told_peak = peak
            cell.hooks.on_peak(peak)
        if verdict is Verdict.KILL:
            cell.watched = replace(cell.watched, is_frozen=True)  # nothing more is to be known of it
            cell.hooks.on_kill(peak, excess)
        elif verdict is Verdict.TELL:
            cell.watched = memory_policy.told(cell.watched, now)
            cell.hooks.on_tell(peak)

    def _lift_later(self, cell: _Cell) -> None:
        """It goes on once the word is with its process: until then it would only take more."""
        if cell.is_lifted or cell.is_lifting:
            return
        cell.is_lifting = True

        def lift() -> None:
            cell.is_lifted = True
            if not cell.has_ended:
                cell.held_at += memory_policy.LIFT_BYTES
                cell.meter.hold_at(cell.held_at)

        self._loop.call_later(memory_policy.LIFT_AFTER_S, lift)

    # ---- the thread -------------------------------------------------------------------------

    def _read(self, cell: _Cell, suspicious_from: int, then: Callable[[Look], None]) -> None:
        """Look at the processes, one by one.  Of one that cannot be looked at now there is no answer."""

        def looked(done: asyncio.Future[Look | None]) -> None:
            look = done.result()
            if look is not None:
                then(look)
            elif cell.watched is not None and not cell.has_ended:
                self._look_later(cell, self._loop.time() + memory_policy.LOOK_EVERY_S)

        self._in_thread(cell, lambda: process_memory.look_or_none(cell.pid, suspicious_from), looked)

    def _in_thread(
        self, cell: _Cell, work: Callable[[], _T], then: Callable[[asyncio.Future[_T]], None]
    ) -> None:
        cell.is_busy = True

        def done(future: asyncio.Future[_T]) -> None:
            cell.is_busy = False
            error = future.exception()
            if cell.has_ended:  # its leaf may have gone while it was asked
                cell.meter.close()
            elif isinstance(error, OSError):
                log.debug("cell %s: %s", cell.name, error)
            else:
                then(future)

        self._loop.run_in_executor(self._thread, work).add_done_callback(done)
