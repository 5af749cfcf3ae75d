"""Writes a front's usage to the store every few seconds, in a thread, and deletes what is old.

No call waits for it.  While the store is away it is tried again, as often; the book merges meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from supervisor.errors import PlatformError
from supervisor.front.usage.usage_book import UsageBook, day_of
from supervisor.settings.front_settings import FrontSettings
from supervisor.store.drivers import Driver
from supervisor.store.tenants import usage_batch
from supervisor.tenancy.quota_names import (
    CPU_SECONDS_PER_HOUR,
    DAY_S,
    HOUR_S,
    LOG_BYTES_PER_DAY,
    PARTS,
    QUOTAS,
)

log = logging.getLogger("cellblock.front")

# A front that is killed loses what it gathered since the last one: with the write itself less than 10 s.
FLUSH_EVERY_S = 5.0
# So often the size of the code is noted and old rows are deleted; a deploy's size is seen this late.
TIDY_EVERY_S = float(HOUR_S)
# The first time: soon after the start, when calls that waited for it were answered.
FIRST_TIDY_S = 10.0
# At most so many batches at the end: what is being written, and what came meanwhile.
LAST_BATCHES = 2


class UsageFlush:
    """One per front worker."""

    def __init__(self, driver: Driver, book: UsageBook, settings: Callable[[], FrontSettings]) -> None:
        """``settings()`` gives those in force."""
        self._driver = driver
        self._book = book
        self._settings = settings
        self._is_away = False
        self._loop = asyncio.get_running_loop()
        self._writing: asyncio.Task[None] | None = None
        self._tidy_at = self._loop.time() + FIRST_TIDY_S
        self._timer = self._loop.call_later(FLUSH_EVERY_S, self._begin)

    async def close(self) -> None:
        """Write all that is left, as far as the store takes it."""
        self._timer.cancel()
        if self._writing is not None:
            await self._writing
        for _ in range(LAST_BATCHES):
            await self._flush()

    def _begin(self) -> None:
        self._timer = self._loop.call_later(FLUSH_EVERY_S, self._begin)
        if self._writing is None or self._writing.done():
            self._writing = self._loop.create_task(self._write())

    async def _write(self) -> None:
        await self._flush()
        if self._loop.time() >= self._tidy_at:
            self._tidy_at = self._loop.time() + TIDY_EVERY_S
            await self._try("tidied", self._tidy)

    async def _flush(self) -> None:
        batch = self._book.batch()
        if batch is not None and await self._try("written", lambda: usage_batch.write(self._driver, batch)):
            self._book.done(batch)

    async def _try(self, what: str, work: Callable[[], object]) -> bool:
        """Do it in a thread; whether it was done.  A store that is away is told once, until it is back."""
        try:
            await asyncio.to_thread(work)
        except PlatformError as error:
            if not self._is_away:
                log.warning("usage cannot be %s: %s; it is gathered and tried again", what, error.message)
            self._is_away = True
            return False
        except Exception:  # a door: a bug of ours costs figures, not the front
            log.exception("usage cannot be %s: our own mistake", what)
            return False
        self._is_away = False
        return True

    def _tidy(self) -> None:
        now = time.time()
        settings = self._settings()
        usage_batch.note_stored(self._driver, day_of(now))
        usage_batch.forget(
            self._driver,
            day_of(now - settings.usage_keep_seconds),
            day_of(now - usage_batch.FORGOTTEN_AFTER_DAYS * DAY_S),
            {
                quota: int(now / (QUOTAS[quota].window_s / PARTS)) - PARTS - 1
                for quota in (CPU_SECONDS_PER_HOUR, LOG_BYTES_PER_DAY)
            },
        )
