"""Compares the cgroup's memory counters of a cell with what psutil sees of its processes, now and then.

The memory guard uses the counters, because reading them costs microseconds and psutil milliseconds for each
process (D66).  But if a cell were not in its group, or if a kernel counted otherwise than we think, its limit
would not hold and nobody would know.  So a thread compares.

Two bounds hold, however pages are shared.  The processes' proportional memory is at most what the group
counts plus what the cell inherited from its zygote, which was charged to the zygote.  And the group counts no
more than what the processes map.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from supervisor.function_limits import MIB
from supervisor.warden.memory.memory_meters import CountedMemory, Meter
from supervisor.warden.memory.process_memory import tree_of

log = logging.getLogger("cellblock.memory")

EVERY_S = 60.0
# The difference that is tolerated: memory may be touched between two reads, and the kernel adds up each
# processor's count only when it has reached 64 pages.
TOLERANCE_BYTES = 16 * MIB
TOLERANCE_PER_PROCESSOR_BYTES = 64 * 4096
# Of a cell with more processes only these are read.  Then the second bound cannot be checked.
COMPARED_PROCESSES_MOST = 64


class MappedMemory(NamedTuple):
    """Bytes of the processes' anonymous memory, without pages of files."""

    # What pid 1 maps.  It is ours and touches little, so nearly all of it comes from the zygote.
    inherited: int
    # The sum of what each process maps.
    mapped: int
    # The same with each page divided by the number of processes that map it.
    own: int


class CheckableCell(Protocol):
    """A cell, as far as this module uses it."""

    name: str
    pid: int

    def meter(self) -> Meter | None:
        """The meter of its group; None without a group."""

    def memory_bytes(self) -> int:
        """What the memory guard last read."""


def mapped_memory(pids: Sequence[int]) -> MappedMemory | None:
    """Read the processes of a cell, pid 1 first.  None if they have ended.  Raises PermissionError."""
    import psutil  # takes 20 ms, so not at the server's start

    inherited = mapped = own = 0
    if not pids:
        return None
    for pid in pids[:COMPARED_PROCESSES_MOST]:
        try:
            maps = psutil.Process(pid).memory_maps(grouped=False)
        except psutil.AccessDenied:
            raise PermissionError(f"process {pid} may not be looked into") from None
        except (psutil.Error, OSError):  # it has ended
            maps = []
        if not maps and pid == pids[0]:
            return None
        mapped += (anonymous := sum(one.anonymous for one in maps))
        own += sum(one.pss for one in maps if one.path.startswith("["))
        if pid == pids[0]:
            inherited = anonymous
    return MappedMemory(inherited, mapped if len(pids) <= COMPARED_PROCESSES_MOST else sys.maxsize, own)


def members_of(procs: Path) -> list[int]:
    """The processes of a group.  The one whose parent is not in the group, pid 1, comes first."""
    import psutil

    try:
        pids = [int(pid) for pid in procs.read_text().split()]
        return sorted(pids, key=lambda pid: psutil.Process(pid).ppid() in pids)
    except (psutil.Error, OSError):  # it has ended
        return []


def disagreement(before: CountedMemory, seen: MappedMemory, after: CountedMemory, processors: int) -> str:
    """Says how the counters, read before and after, and the processes disagree; "" if they agree."""
    slack = TOLERANCE_BYTES + processors * TOLERANCE_PER_PROCESSOR_BYTES
    most, least = max(before.anonymous, after.anonymous), min(before.anonymous, after.anonymous)
    if seen.own > most + seen.inherited + slack:
        return f"its group counts {most // MIB} MiB and its processes have {seen.own // MIB}"
    if least > seen.mapped + slack:
        return f"its group counts {least // MIB} MiB and its processes have no more than {seen.mapped // MIB}"
    return ""


def compare(meter: Meter, pids: Callable[[], Sequence[int]]) -> str | None:
    """``disagreement`` of a cell now; None if it has ended or is not counted.  Raises PermissionError."""
    before = meter.look()
    seen = mapped_memory(pids()) if before is not None else None
    after = meter.look() if seen is not None else None
    if before is None or seen is None or after is None:
        return None
    return disagreement(before, seen, after, os.cpu_count() or 1)


class CheckedCell(NamedTuple):
    """A cell to compare: its name, its pid 1, its group's meter, and the bytes counted."""

    name: str
    pid: int
    meter: Meter
    counted: int


def cells_to_check(cells: Sequence[CheckedCell], last: str) -> list[CheckedCell]:
    """The cell with the most memory, and the one whose turn it is, by name after ``last``.

    Each cell needs a turn: one that is not in its group would always count as the smallest.
    """
    if not cells:
        return []
    largest = max(cells, key=lambda cell: cell.counted)
    by_name = sorted(cells, key=lambda cell: cell.name)
    turn = next((cell for cell in by_name if cell.name > last), by_name[0])
    return [turn] if turn is largest else [turn, largest]


class CounterCheck:
    """Compares two cells each EVERY_S: the largest, and one in turn."""

    def __init__(self, cells: Callable[[], Iterable[CheckableCell]]) -> None:
        self._cells = cells
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""
        self._last = ""

    def start(self) -> None:
        """Begin.  The first comparison comes after EVERY_S."""
        self._timer = self._loop.call_later(EVERY_S, self._compare)

    def stop(self) -> None:
        """End: no comparison begins after this."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _compare(self) -> None:
        self.start()
        if cells := cells_to_check(list(self._comparable()), self._last):
            self._last = cells[0].name  # whose turn it was
            threading.Thread(target=self._in_thread, args=(cells,), name="counter check").start()

    def _comparable(self) -> Iterable[CheckedCell]:
        for cell in self._cells():
            meter = cell.meter()
            if cell.pid and meter is not None and meter.counts_memory:
                yield CheckedCell(cell.name, cell.pid, meter, cell.memory_bytes())

    def _in_thread(self, cells: Sequence[CheckedCell]) -> None:
        for cell in cells:
            # OSError: the memory guard reads the same files, and reports it.  RuntimeError: the loop is
            # closed.
            with contextlib.suppress(OSError, RuntimeError):
                said = compare(cell.meter, functools.partial(tree_of, cell.pid))
                if said:
                    self._loop.call_soon_threadsafe(self._tell, cell.name, said)

    def _tell(self, name: str, said: str) -> None:
        if name != self._told:
            self._told = name
            log.error("cell %s: %s: limits of memory may not hold here; run cellblock check", name, said)
