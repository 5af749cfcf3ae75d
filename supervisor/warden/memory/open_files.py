"""Kills the cell with the most open files when the host runs short of them; no cgroup counts them.

Each instance may open ``open_files`` times ``processes`` files, and all instances together may exceed the
host's limit.  While their limits add up to less than that, nothing is done.  Beyond that, the guard watches
the kernel's count, and when three quarters of the host's files are open it kills the cell that has most.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("cellblock.warden")

LOOK_EVERY_S = 0.5
# The share of the host's file-max that may be open before a cell is killed.
FULL_SHARE = 0.75


class FileOpener(NamedTuple):
    """A cell: how many files it may open, a function that lists its processes, and one that kills it."""

    most: int
    processes: Callable[[], Iterable[int]]
    end: Callable[[int], None]


def count() -> tuple[int, int]:
    """How many files are open on the host, and its limit."""
    opened, _, most = Path("/proc/sys/fs/file-nr").read_text().split()
    return int(opened), int(most)


def open_in(pids: Iterable[int]) -> int:
    """How many files these processes have open.  A file that two of them share counts twice."""
    found = 0
    for pid in pids:
        try:
            # Since Linux 6.2 the size of this folder is the number of files; before, it is 0.
            found += os.stat(f"/proc/{pid}/fd").st_size or len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue  # it has ended
    return found


class OpenFilesGuard:
    """Watches all tied cells.  ``count()`` gives the host's open files and their limit."""

    def __init__(self, count: Callable[[], tuple[int, int]] = count) -> None:
        self._count = count
        self._full = count()[1] * FULL_SHARE
        # The sum of what all tied cells may open.
        self._most = 0
        self._openers: dict[str, FileOpener] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "files")

    def watch(self, name: str, opener: FileOpener) -> None:
        """Watch a cell, from its tie on."""
        self._openers[name] = opener
        self._most += opener.most
        self._look_later()

    def forget(self, name: str) -> None:
        """Stop watching a cell that has ended."""
        opener = self._openers.pop(name, None)
        if opener is not None:
            self._most -= opener.most

    def _look_later(self) -> None:
        if self._timer is None and self._most > self._full:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._count()[0] <= self._full:
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
    """(open files, cell), the largest first."""
    return sorted(((open_in(pids), name) for name, pids in asked), reverse=True)
