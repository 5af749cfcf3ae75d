"""Deletes what is too old or too much in the functions' logs: one front at a time, in a thread.

Every front tries once in a while.  A lock file says who sweeps now, and its modification time
when the last sweep was.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from supervisor.errors import PlatformError
from supervisor.logs import Retention, Swept, sweep

log = logging.getLogger("cellblock.front")

# Logs may exceed their bounds by what is written between two sweeps.
SWEEP_EVERY_S = 30.0
# A front does not sweep if another has done so within this time.
SWEPT_LATELY_S = 0.5 * SWEEP_EVERY_S
LOCK_NAME = "logs.lock"


def sweep_alone(
    root: Path, limits: Retention, known: Callable[[], Collection[tuple[str, str]]]
) -> Swept | None:
    """Sweep, unless another process does or just did.  Blocks; raises OSError, PlatformError.

    ``known()`` gives the space and name of every function that exists.
    """
    lock = os.open(root.with_name(LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        status = os.fstat(lock)
        # A time in the future means that the clock was set back: sweep.
        if status.st_size and 0 <= time.time() - status.st_mtime < SWEPT_LATELY_S:
            return None
        swept = sweep(root, limits, frozenset(known()))
        os.utime(lock)
        if not status.st_size:
            os.truncate(lock, 1)  # marks the first sweep; truncating needs no space on a full disk
        return swept
    finally:
        os.close(lock)


class LogSweeper:
    """Tries a sweep every SWEEP_EVERY_S; one per front."""

    def __init__(
        self, root: Path, limits: Retention, known: Callable[[], Collection[tuple[str, str]]]
    ) -> None:
        self._root = root
        self._limits = limits
        self._known = known
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(SWEEP_EVERY_S, self._begin)

    def _begin(self) -> None:
        self._running = self._loop.create_task(self._sweep())
        self._timer = self._loop.call_later(SWEEP_EVERY_S, self._begin)

    async def _sweep(self) -> None:
        try:
            swept = await asyncio.to_thread(sweep_alone, self._root, self._limits, self._known)
        except (OSError, PlatformError) as error:
            log.warning("cannot delete old logs: %s; it is tried again", error)
            return
        if swept is not None and swept.segments:
            log.info("deleted %d old segments of logs, %d bytes", swept.segments, swept.bytes)
