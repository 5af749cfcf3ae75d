"""Whether the kernel's counters of a cell's memory say what its processes have, as psutil sees them.

The counters come first: a look at them costs microseconds, one by psutil milliseconds for each process
(D66).  So psutil checks them, now and then and in a thread of its own: a cell that is not in its group, or a
kernel that counts otherwise than we read it, would have no limit, and nobody would know.

Both bounds hold whatever is shared: a page divided by those who map it is never more than what was counted
and what came from the zygote, which was charged there; and no page was counted that nobody maps.
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

from supervisor.warden.memory.memory_meters import Counted, Meter
from supervisor.warden.memory.memory_policy import MIB
from supervisor.warden.memory.process_memory import tree_of

log = logging.getLogger("cellblock.memory")

EVERY_S = 60.0
# By so much they may differ: the kernel adds up what a processor counted when it is 64 pages, and what is
# touched between two reads is in one of them only.
SLACK_BYTES = 16 * MIB
SLACK_OF_A_PROCESSOR_BYTES = 64 * 4096
# Of a cell that has more only these are looked at: they may have too much, but not too little.
PROCESSES_MOST = 64


class Seen(NamedTuple):
    """Bytes of the processes' own memory, no file's: what the first of them maps, which is ours and touches
    little, so that nearly all is its zygote's; what each maps; and each page divided by those who do."""

    inherited: int
    mapped: int
    own: int


class Watchable(Protocol):
    """A cell, as far as it is looked at here."""

    name: str
    pid: int

    def meter(self) -> Meter | None:
        """Its group's; None without one."""

    def memory_bytes(self) -> int:
        """What it has."""


def look(pids: Sequence[int]) -> Seen | None:
    """The processes of a cell, its first one first; None when there are none.  PermissionError."""
    import psutil  # 20 ms, which nobody should wait for

    inherited = mapped = own = 0
    if not pids:
        return None
    for pid in pids[:PROCESSES_MOST]:
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
    return Seen(inherited, mapped if len(pids) <= PROCESSES_MOST else sys.maxsize, own)


def members_of(procs: Path) -> list[int]:
    """The processes of a group, the one that has no parent among them first."""
    import psutil

    try:
        pids = [int(pid) for pid in procs.read_text().split()]
        return sorted(pids, key=lambda pid: psutil.Process(pid).ppid() in pids)
    except (psutil.Error, OSError):  # it has ended
        return []


def disagreement(before: Counted, seen: Seen, after: Counted, processors: int) -> str:
    """In words, or "": what was counted before and after the processes were looked at, and what they had."""
    slack = SLACK_BYTES + processors * SLACK_OF_A_PROCESSOR_BYTES
    most, least = max(before.anonymous, after.anonymous), min(before.anonymous, after.anonymous)
    if seen.own > most + seen.inherited + slack:
        return f"its group counts {most // MIB} MiB and its processes have {seen.own // MIB}"
    if least > seen.mapped + slack:
        return f"its group counts {least // MIB} MiB and its processes have no more than {seen.mapped // MIB}"
    return ""


def compare(meter: Meter, pids: Callable[[], Sequence[int]]) -> str | None:
    """``disagreement`` of a cell now; None where there is nothing to compare.  PermissionError."""
    before = meter.look()
    seen = look(pids()) if before is not None else None
    after = meter.look() if seen is not None else None
    if before is None or seen is None or after is None:
        return None
    return disagreement(before, seen, after, os.cpu_count() or 1)


class Compared(NamedTuple):
    """A cell that can be compared: its name, its first process, its group's meter, and the bytes counted."""

    name: str
    pid: int
    meter: Meter
    counted: int


def chosen(cells: Sequence[Compared], last: str) -> list[Compared]:
    """Of which a mistake costs most, and the one whose turn it is by name after ``last``.

    A cell that is not in its group counts as the smallest, so by the counters alone it is never compared.
    """
    if not cells:
        return []
    largest = max(cells, key=lambda cell: cell.counted)
    by_name = sorted(cells, key=lambda cell: cell.name)
    turn = next((cell for cell in by_name if cell.name > last), by_name[0])
    return [turn] if turn is largest else [turn, largest]


class Agreement:
    """Of one server: the cell that has most is compared, and each in its turn."""

    def __init__(self, cells: Callable[[], Iterable[Watchable]]) -> None:
        self._cells = cells
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""
        self._last = ""

    def start(self) -> None:
        """The first comparison comes when the server has been at work for a while."""
        self._timer = self._loop.call_later(EVERY_S, self._compare)

    def stop(self) -> None:
        """None comes after this."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _compare(self) -> None:
        self.start()
        # The first in the list is the one whose turn it is.
        if cells := chosen(list(self._comparable()), self._last):
            self._last = cells[0].name
            threading.Thread(target=self._in_thread, args=(cells,), name="agreement").start()

    def _comparable(self) -> Iterable[Compared]:
        for cell in self._cells():
            meter = cell.meter()
            if cell.pid and meter is not None and meter.counts_memory:
                yield Compared(cell.name, cell.pid, meter, cell.memory_bytes())

    def _in_thread(self, cells: Sequence[Compared]) -> None:
        for cell in cells:
            # What it cannot look at is somebody else's to say: the guard reads the same files.
            with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the loop is closed
                said = compare(cell.meter, functools.partial(tree_of, cell.pid))
                if said:
                    self._loop.call_soon_threadsafe(self._tell, cell.name, said)

    def _tell(self, name: str, said: str) -> None:
        if name != self._told:
            self._told = name
            log.error("cell %s: %s: limits of memory may not hold here; run cellblock check", name, said)
