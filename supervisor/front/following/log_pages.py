"""Reads what is in the logs, a page at a time, in a few threads beside the event loop.

Nothing else runs in these threads, so a search through hundreds of MiB delays no deploy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from supervisor.errors import PlatformError
from supervisor.logs import Batch, Cursor, Query, read
from supervisor.logs.catalogue import Catalogue
from supervisor.logs.reading.merged_records import Trail
from supervisor.logs.reading.query import Selection

T = TypeVar("T")

# Decoding holds the interpreter's lock, so more threads would only take turns.
THREADS = 2
# Readers at once in one front; each holds a page, for as long as its connection takes.
READERS_MAX = 64
RETRY_AFTER_S = "1"
# The bounds of a page, in records and in bytes: some ms of work.
PAGE_RECORDS = 500
PAGE_MAX_BYTES = 1 << 20


class ReadingThreads:
    """One front's threads for reading logs; ``readers`` counts the open ``Pages``."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder of all logs."""
        self.root = root
        self.readers = 0
        self._threads = ThreadPoolExecutor(THREADS, "logreads")

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work``, which blocks, in a thread.  PlatformError 503 if the disk refuses."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise PlatformError(
                503,
                f"the logs cannot be read: {error.strerror}; try again",
                headers={"Retry-After": RETRY_AFTER_S},
            ) from None

    async def tail(self, space: str, name: str | None, query: Query) -> Batch:
        """The last ``query.tail`` records, and the cursor behind the end of the log."""
        return await self.run(lambda: read(self.root, space, name, query))


class Pages:
    """One reading forwards, page by page, from a cursor or from the beginning."""

    def __init__(
        self, threads: ReadingThreads, space: str, name: str | None, query: Query, cursor: str | None
    ) -> None:
        """PlatformError 503 if READERS_MAX read already."""
        if threads.readers >= READERS_MAX:
            raise PlatformError(
                503,
                f"{READERS_MAX} readers of logs are being answered already; try again",
                headers={"Retry-After": RETRY_AFTER_S},
            )
        self._reading = threads
        self._whose = (space, name)
        self._start = Cursor.parse(cursor) if cursor is not None else Cursor()
        self._selection = Selection(query)
        self._left = query.limit
        self._trail: Trail | None = None
        self._is_open = True
        threads.readers += 1

    async def next(self) -> Batch:
        """Read the next page; its ``more`` says whether another follows.  PlatformError 503."""
        return await self._reading.run(self._read)

    @property
    def is_at_limit(self) -> bool:
        """Whether the query's limit of records is reached."""
        return self._left <= 0

    def close(self) -> None:
        """Stop reading; calling it again does nothing."""
        if self._is_open:
            self._is_open = False
            self._reading.readers -= 1

    def _read(self) -> Batch:
        if self._trail is None:
            catalogue = Catalogue(self._reading.root, *self._whose, self._selection.query.kinds)
            self._trail = Trail(catalogue, self._start, self._selection.query.since or 0)
        batch = self._trail.advance(self._selection, min(PAGE_RECORDS, self._left), PAGE_MAX_BYTES)
        self._left -= len(batch.records)
        return batch
