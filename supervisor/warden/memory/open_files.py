"""Open files of all cells together: the host has a limit for all of its processes, and no group counts them.

Each instance has its most (``open_files`` times ``processes``), and many of them are more than a host has.
While what they may have is within it, nothing is done.  Beyond that the kernel's count is looked at, and when
most of the host's are open, the cell that has most of them ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("cellblock.warden")

LOOK_EVERY_S = 0.5
# Of the host's file-max: how much may be open before a cell ends for it.
ENOUGH = 0.75


@dataclass(frozen=True)
class Opener:
    """A cell: how many files it may open, its processes now, and its end."""

    most: int
    processes: Callable[[], Iterable[int]]
    end: Callable[[int], None]


def count() -> tuple[int, int]:
    """How many files are open on the host, and how many can be."""
    opened, _, most = Path("/proc/sys/fs/file-nr").read_text().split()
    return int(opened), int(most)


def open_in(pids: Iterable[int]) -> int:
    """How many these processes have open, those that they share counted for each."""
    found = 0
    for pid in pids:
        try:
            # From Linux 6.2 the size of the folder is the number; before, it has to be read.
            found += os.stat(f"/proc/{pid}/fd").st_size or len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue  # it has just ended
    return found


class Files:
    """All cells that are somebody's; ``count()`` is the kernel's."""

    def __init__(self, count: Callable[[], tuple[int, int]] = count) -> None:
        self._count = count
        self._enough = count()[1] * ENOUGH
        # What all of them may have.
        self._most = 0
        self._openers: dict[str, Opener] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "files")

    def watch(self, name: str, opener: Opener) -> None:
        """It is tied."""
        self._openers[name] = opener
        self._most += opener.most
        self._look_later()

    def forget(self, name: str) -> None:
        """It has ended."""
        opener = self._openers.pop(name, None)
        if opener is not None:
            self._most -= opener.most

    def _look_later(self) -> None:
        if self._timer is None and self._most > self._enough:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._count()[0] <= self._enough:
            self._look_later()
            return
        asked = [(name, list(opener.processes())) for name, opener in self._openers.items()]
        counted = asyncio.get_running_loop().run_in_executor(self._thread, _by_number, asked)
        counted.add_done_callback(self._end_the_first)

    def _end_the_first(self, done: asyncio.Future[list[tuple[int, str]]]) -> None:
        for number, name in done.result():
            opener = self._openers.get(name)
            if opener is not None:
                log.error("the host is short of open files: cell %s, which has %d, is ended", name, number)
                opener.end(number)
                break
        self._look_later()


def _by_number(asked: Sequence[tuple[str, Sequence[int]]]) -> list[tuple[int, str]]:
    """Who has most comes first."""
    return sorted(((open_in(pids), name) for name, pids in asked), reverse=True)
