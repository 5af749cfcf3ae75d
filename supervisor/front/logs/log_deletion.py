"""Deleting what the functions' logs hold too long or too much of: by one front at a time, in a thread.

Every front looks once in a while; a file says who does it now and when it was last done.
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

# How often the logs are looked at by whichever front comes first: a minute's flood is what they may be over.
SWEEP_EVERY_S = 30.0
# Fronts that look at the same moment: what was swept just now is swept.
SWEPT_LATELY_S = 0.5 * SWEEP_EVERY_S
LOCK_NAME = "logs.lock"


def sweep_alone(
    root: Path, limits: Retention, known: Callable[[], Collection[tuple[str, str]]]
) -> Swept | None:
    """Sweep unless another process does or just did.  Blocks; OSError, PlatformError.

    ``known()`` gives space and name of every function there is.
    """
    lock = os.open(root.with_name(LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        status = os.fstat(lock)
        # A clock that was set back is no reason to wait for it.
        if status.st_size and 0 <= time.time() - status.st_mtime < SWEPT_LATELY_S:
            return None
        swept = sweep(root, limits, frozenset(known()))
        os.utime(lock)
        if not status.st_size:
            os.truncate(lock, 1)  # takes no room of a full disk
        return swept
    finally:
        os.close(lock)


class LogKeeper:
    """Of one front."""

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
