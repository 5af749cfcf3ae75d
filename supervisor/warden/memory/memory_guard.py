"""The memory guard: looks at the memory of each running cell, and does what ``cell_memory_policy`` decides.

With a memory cgroup the kernel's events wake the guard, and a look costs microseconds.  Without one a thread
reads the processes one by one.  Then the limit is soft: between two looks a function can take more, and the
host has to bear it.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import select
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from supervisor.function_limits import MIB
from supervisor.warden.memory import cell_memory_policy, process_memory
from supervisor.warden.memory.cell_memory_policy import MemoryVerdict, ProcessMemory, WatchedCell
from supervisor.warden.memory.memory_meters import CountedMemory, Meter

log = logging.getLogger("cellblock.memory")

EVIDENCE = f"looked at every {cell_memory_policy.LOOK_EVERY_S:g} s, so a function may have more for a moment"
COUNTED = "the kernel counts what a cell's processes touch, and wakes the guard"
EVENTS_AT_ONCE = 64
NO_MEMORY = ProcessMemory(0, 0)
# A cell within this much of its cgroup's limit may have met it: usage is counted in batches.
NEAR_LIMIT_BYTES = 2 * MIB

_T = TypeVar("_T")


class Excess(enum.Enum):
    """Which limit a cell that is killed for memory has exceeded."""

    TOUCHED = "what the function may touch"
    HELD = "what the kernel lets the cell have"
    OF_ALL = "what all cells together may have, or the host has"


class GuardHooks(NamedTuple):
    """What the guard calls for a cell; ``peak`` is in bytes.  ``on_peak`` is called for a new peak only."""

    on_tell: Callable[[int], None] = lambda peak: None
    on_kill: Callable[[int, Excess], None] = lambda peak, excess: None
    on_peak: Callable[[int], None] = lambda peak: None
    on_processes: Callable[[], None] = lambda: None


@dataclass(eq=False, repr=False)
class _GuardedCell:
    name: str
    pid: int
    meter: Meter
    base: CountedMemory | ProcessMemory | None = None
    watched: WatchedCell | None = None
    hooks: GuardHooks = field(default_factory=GuardHooks)
    tmp_bytes: int = 0
    told_peak: int = 0
    has_new_event: bool = False
    usage: int = 0
    # The part of its usage that is page cache, /tmp and the kernel's own, at the last look.
    others: int = 0
    has_own_tmp: bool = True
    # The limit of its cgroup.
    held_at: int = 0
    is_lifted: bool = False
    is_lifting: bool = False
    is_disarmed: bool = False
    is_busy: bool = False  # a thread uses its descriptors
    has_ended: bool = False
    last_event: float = 0.0
    event_wait_s: float = 0.0
    timer: asyncio.TimerHandle | None = None


class MemoryGuard:
    """Watches cells, by name, from blank to their end."""

    def __init__(self, is_counted: bool, has_namespaces: bool) -> None:
        """``is_counted``: cells have memory cgroups."""
        self.is_counted = is_counted
        self._has_namespaces = has_namespaces
        self._cells: dict[str, _GuardedCell] = {}
        self._by_event_fd: dict[int, _GuardedCell] = {}
        self._epoll = select.epoll()
        self._is_listening = False
        # One thread: looks at processes queue up.
        self._thread = ThreadPoolExecutor(1, "memory")
        # Why it cannot see memory; "" if it can.
        self.blindness = "" if is_counted else process_memory.blindness()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    # ---- the life of a cell -----------------------------------------------------------------

    def blank(self, name: str, pid: int, meter: Meter) -> None:
        """Watch a blank cell.  What it has now does not count for its function.  Raises OSError."""
        if not self._is_listening:  # not in __init__: the loop does not run yet
            self._is_listening = True
            self._loop.add_reader(self._epoll.fileno(), self._on_events)
        cell = self._cells[name] = _GuardedCell(name, pid, meter, has_own_tmp=self._has_namespaces)
        meter.open_events(self._epoll)
        for memory_event_fd in (meter.memory_event_fd, meter.pids_event_fd):
            if memory_event_fd >= 0:
                self._by_event_fd[memory_event_fd] = cell
        if self.is_counted:
            cell.base = meter.look()
        else:
            self._read(cell, -1, lambda look: self._has_base(cell, look))

    def _has_base(self, cell: _GuardedCell, base: ProcessMemory) -> None:
        cell.base = cell.base or base
        if not base.resident:
            self.blindness = "the host's /proc hides the cells' processes from the server"

    def watch(self, name: str, limit_bytes: int, tmp_bytes: int, hooks: GuardHooks) -> None:
        """Enforce the limits of a cell that is being tied."""
        cell = self._cells[name]
        if cell.base is None and self.is_counted:  # the cell is ending
            cell.base = CountedMemory(0, 0, 0)
        if cell.base is None:  # the thread has not read it yet
            self._has_base(cell, process_memory.look_or_none(cell.pid, -1) or NO_MEMORY)
        cell.hooks, cell.tmp_bytes = hooks, tmp_bytes
        cell.held_at = cell_memory_policy.kernel_bytes(limit_bytes, tmp_bytes)
        cell.watched = cell_memory_policy.begin(limit_bytes, self._loop.time(), self.is_counted)
        if isinstance(cell.base, CountedMemory):
            usage = cell.base.usage + limit_bytes
            cell.meter.slow_down_at(usage)
            # Not in this turn: the thread would take the interpreter's lock from the lease.
            self._loop.call_soon(self._wake_at, cell, usage)
        self._look_later(cell, cell.watched.next_look)

    def _wake_at(self, cell: _GuardedCell, usage_bytes: int) -> None:
        if not cell.has_ended:
            self._in_thread(cell, lambda: cell.meter.wake_at(usage_bytes), lambda _: None)

    def freeze(self, name: str, is_frozen: bool) -> None:
        """A front freezes an idle cell, or thaws it.  A frozen one is not looked at."""
        cell = self._cells.get(name)
        if cell is not None and cell.watched is not None:
            cell.watched = cell_memory_policy.frozen(cell.watched, is_frozen, self._loop.time())
            self._look_later(cell, cell.watched.next_look)

    def used(self, name: str) -> int:
        """The bytes that the function had at the last look; 0 for a cell that is not tied."""
        watched = self._cells[name].watched if name in self._cells else None
        return watched.used if watched is not None else 0

    def peak(self, name: str, kills: int = 0) -> int:
        """The most bytes seen, or the peak that the kernel recorded if it has killed (``kills``)."""
        cell = self._cells.get(name)
        if cell is None or cell.watched is None:
            return 0
        if kills and isinstance(cell.base, CountedMemory):
            most = cell.meter.most_usage() - cell.base.usage - cell.others
            return max(cell.watched.peak, most)
        return cell.watched.peak

    def forget(self, name: str) -> None:
        """Stop watching a cell that has ended."""
        cell = self._cells.pop(name, None)
        if cell is None:
            return
        cell.has_ended = True
        if cell.timer is not None:
            cell.timer.cancel()
        for memory_event_fd in (cell.meter.memory_event_fd, cell.meter.pids_event_fd):
            self._by_event_fd.pop(memory_event_fd, None)
        cell.meter.stop_events(self._epoll)  # before its leaf is removed, which sends an event too
        if not cell.is_busy:  # else the thread's ``done`` closes it
            cell.meter.close()

    # ---- events -----------------------------------------------------------------------------

    def _look_later(self, cell: _GuardedCell, at: float) -> None:
        if cell.timer is not None:
            cell.timer.cancel()
            cell.timer = None
        if cell.watched is not None and (not cell.watched.is_frozen or cell.is_disarmed):
            cell.timer = self._loop.call_at(at, self._is_due, cell)

    def _is_due(self, cell: _GuardedCell) -> None:
        cell.timer = None
        if cell.is_disarmed:
            cell.is_disarmed = False
            cell.meter.arm(self._epoll)
        self._look(cell)

    def _on_events(self) -> None:
        """Look at each cell with an event.

        If its events follow closely, disarm them for a while that grows.
        """
        for memory_event_fd, _ in self._epoll.poll(0, EVENTS_AT_ONCE):
            cell = self._by_event_fd.get(memory_event_fd)
            if cell is None:
                continue  # it ended in this turn of the loop
            if memory_event_fd == cell.meter.pids_event_fd:
                self._on_pids_event(cell)
                continue
            now = self._loop.time()
            cell.meter.clear_event()
            cell.has_new_event = True
            if now - cell.last_event > 2 * cell_memory_policy.EVENT_MOST_S:
                cell.event_wait_s = 0.0
                self._look(cell)
            else:
                cell.event_wait_s = cell_memory_policy.next_event_wait(cell.event_wait_s)
                cell.meter.disarm(self._epoll)
                cell.is_disarmed = True
                self._look_later(cell, now + cell.event_wait_s)
            cell.last_event = now

    def _on_pids_event(self, cell: _GuardedCell) -> None:
        if cell.meter.has_met_pids_limit():
            self._by_event_fd.pop(cell.meter.pids_event_fd)
            cell.meter.close_pids_events(self._epoll)
            cell.hooks.on_processes()

    # ---- looking ----------------------------------------------------------------------------

    def _look(self, cell: _GuardedCell) -> None:
        if cell.watched is None or cell.has_ended:
            return
        if cell.meter.pids_event_fd >= 0:
            self._on_pids_event(cell)  # v1 has no event for this
        if isinstance(cell.base, CountedMemory):
            counted = cell.meter.look()
            if counted is not None:
                in_tmp = self._in_tmp(cell, counted)
                base = cell.base.anonymous + cell.base.shared
                used = cell_memory_policy.used_by_counters(counted.anonymous, counted.shared, in_tmp, base)
                cell.usage = counted.usage
                cell.others = max(0, counted.usage - cell.base.usage - used)
                top = cell.base.usage + cell.others + cell_memory_policy.top_of(cell.watched)
                if top >= counted.usage:  # if lower, the write would make this loop reclaim pages
                    cell.meter.slow_down_at(top)
                self._has_looked(cell, used)
        else:
            base_look = cell.base if isinstance(cell.base, ProcessMemory) else NO_MEMORY
            limit = cell.watched.limit_bytes
            self._read(
                cell,
                cell_memory_policy.suspicious_from(base_look, limit),
                lambda look: self._has_looked(cell, cell_memory_policy.used_by_look(look, base_look, limit)),
            )

    def _in_tmp(self, cell: _GuardedCell, counted: CountedMemory) -> int:
        """The bytes of shared memory that are files in /tmp."""
        if not counted.shared:
            return 0
        if cell.has_own_tmp:
            try:
                found = os.statvfs(os.path.join("/proc", str(cell.pid), "root", "tmp"))
                # At most tmp_bytes: the counters may still include files that have been deleted.
                return min(cell.tmp_bytes, (found.f_blocks - found.f_bfree) * found.f_frsize)
            except OSError:  # the cell is ending, or may not be inspected
                pass
        return min(cell.tmp_bytes, counted.shared)

    def _has_looked(self, cell: _GuardedCell, used: int) -> None:
        if cell.watched is None or cell.has_ended:
            return
        now = self._loop.time()
        cell.watched = cell_memory_policy.after_look(cell.watched, used, now)
        verdict = cell_memory_policy.verdict(cell.watched, now)
        is_near = cell.usage + NEAR_LIMIT_BYTES >= cell.held_at
        excess = Excess.TOUCHED
        if is_near and cell.meter.is_held():
            verdict = cell_memory_policy.verdict_when_held(cell.watched, cell.is_lifted, now)
            if used <= cell.watched.limit_bytes:
                excess = Excess.HELD
            self._lift_later(cell)
        elif cell.has_new_event and cell.meter.kills():
            verdict = MemoryVerdict.KILL  # the kernel has killed one process, and v1 leaves the others
            excess = Excess.HELD if cell.meter.has_met_its_limit() else Excess.OF_ALL
        cell.has_new_event = False
        self._act(cell, verdict, excess, now)
        if not cell.has_ended and cell.watched is not None:
            self._look_later(cell, max(cell.watched.next_look, now))

    def _act(self, cell: _GuardedCell, verdict: MemoryVerdict, excess: Excess, now: float) -> None:
        assert cell.watched is not None
        peak = cell.watched.peak
        if cell_memory_policy.is_news(peak, cell.told_peak, cell.watched.limit_bytes):
            cell.told_peak = peak
            cell.hooks.on_peak(peak)
        if verdict is MemoryVerdict.KILL:
            cell.watched = cell.watched._replace(is_frozen=True)  # no more looks
            cell.hooks.on_kill(peak, excess)
        elif verdict is MemoryVerdict.TELL:
            cell.watched = cell_memory_policy.told(cell.watched, now)
            cell.hooks.on_tell(peak)

    def _lift_later(self, cell: _GuardedCell) -> None:
        """Raise the limit of a stopped cell a little later, when the MemoryError is on its way (v1)."""
        if cell.is_lifted or cell.is_lifting:
            return
        cell.is_lifting = True

        def lift() -> None:
            cell.is_lifted = True
            if not cell.has_ended:
                cell.held_at += cell_memory_policy.LIFT_BYTES
                cell.meter.hold_at(cell.held_at)

        self._loop.call_later(cell_memory_policy.LIFT_AFTER_S, lift)

    # ---- the thread -------------------------------------------------------------------------

    def _read(self, cell: _GuardedCell, suspicious_from: int, then: Callable[[ProcessMemory], None]) -> None:
        """Read a cell's processes in the thread, and call ``then``.  If that fails, try again later."""

        def looked(done: asyncio.Future[ProcessMemory | None]) -> None:
            look = done.result()
            if look is not None:
                then(look)
            elif cell.watched is not None and not cell.has_ended:
                self._look_later(cell, self._loop.time() + cell_memory_policy.LOOK_EVERY_S)

        self._in_thread(cell, lambda: process_memory.look_or_none(cell.pid, suspicious_from), looked)

    def _in_thread(
        self, cell: _GuardedCell, work: Callable[[], _T], then: Callable[[asyncio.Future[_T]], None]
    ) -> None:
        cell.is_busy = True

        def done(future: asyncio.Future[_T]) -> None:
            cell.is_busy = False
            error = future.exception()
            if cell.has_ended:  # ``forget`` left the closing to this
                cell.meter.close()
            elif isinstance(error, OSError):
                log.debug("cell %s: %s", cell.name, error)
            else:
                then(future)

        self._loop.run_in_executor(self._thread, work).add_done_callback(done)
