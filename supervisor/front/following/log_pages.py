"""Reading what the logs hold, for the event loop: in threads of its own, a page at a time.

The threads are few and theirs alone, so that a search through hundreds of MiB keeps no deploy waiting.
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
from supervisor.logs.reading.merged_records import MergedRecords
from supervisor.logs.reading.query import Selection

T = TypeVar("T")

# Reading is decoding, which holds the interpreter: more would only take turns.
THREADS = 2
# Readers in one front, those included whose connection is slow: each holds a page.
READERS_MAX = 64
RETRY_AFTER_S = "1"
# A page: some ms of work, and of lines with 64 KiB each the most memory that it takes, some MiB.
PAGE_RECORDS = 500
PAGE_MAX_BYTES = 1 << 20


class LogReads:
    """Of one front."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder of all logs."""
        self.root = root
        self.readers = 0
        self._threads = ThreadPoolExecutor(THREADS, "logreads")

    async def do(self, work: Callable[[], T]) -> T:
        """``work``, which blocks, in one of the threads.  PlatformError 503 for a disk that refuses."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise PlatformError(
                503,
                f"the logs cannot be read: {error.strerror}; try again",
                headers={"Retry-After": RETRY_AFTER_S},
            ) from None

    async def tail(self, space: str, name: str | None, query: Query) -> Batch:
        """The last ``query.tail`` records, and the cursor behind all that there is."""
        return await self.do(lambda: read(self.root, space, name, query))


class Pages:
    """One reading forwards, from a cursor or from the beginning; counted while it is open."""

    def __init__(
        self, reads: LogReads, space: str, name: str | None, query: Query, cursor: str | None
    ) -> None:
        """PlatformError 503 when too many read already."""
        if reads.readers >= READERS_MAX:
            raise PlatformError(
                503,
                f"{READERS_MAX} readers of logs are being answered already; try again",
                headers={"Retry-After": RETRY_AFTER_S},
            )
        self._reads = reads
        self._whose = (space, name)
        self._start = Cursor.parse(cursor) if cursor is not None else Cursor()
        self._selection = Selection(query)
        self._left = query.limit
        self._trail: MergedRecords | None = None
        self._is_open = True
        reads.readers += 1

    async def next(self) -> Batch:
        """The next page; its ``more`` says whether there is another.  PlatformError 503."""
        return await self._reads.do(self._read)

    @property
    def is_at_limit(self) -> bool:
        """Whether as many as were asked for have been given."""
        return self._left <= 0

    def close(self) -> None:
        """No more is read."""
        if self._is_open:
            self._is_open = False
            self._reads.readers -= 1

    def _read(self) -> Batch:
        if self._trail is None:
            catalogue = Catalogue(self._reads.root, *self._whose, self._selection.query.kinds)
            self._trail = MergedRecords(catalogue, self._start, self._selection.query.since or 0)
        batch = self._trail.advance(self._selection, min(PAGE_RECORDS, self._left), PAGE_MAX_BYTES)
        self._left -= len(batch.records)
        return batch
