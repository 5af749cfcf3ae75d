"""Deletes a space with everything of it, and what a server that died in the middle has left of one.

1. One transaction deletes its rows and marks it: from then on it is not there, and its name is taken.
2. Every front forgets its functions, values and logs, and kills its instances.
3. Its bundles and logs are removed.
4. Its name is free, and the store's file is rewritten, so that no byte of a deleted row is left.

One front at a time does steps 2 to 4: the lock.  A step may be done twice.  After a death the mark of step 1,
or the file of step 4, says that there is more to do; every front looks at its start and now and then
(``finish_all``).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import PlatformError
from supervisor.front.api_control import ApiControl
from supervisor.logs import delete_space
from supervisor.store.store import Store

# Killed instances end within milliseconds; after this long they are the warden's alone.
INSTANCES_GONE_S = 5.0
LOOK_EVERY_S = 0.02
LOCK_WAIT_S = 30.0  # its holder waits for fronts and instances, and rewrites the store
LOCK_NAME = "spaces.lock"
SHRED_NAME = "spaces.shred"  # the file that says: the store is still to be rewritten

log = logging.getLogger(__name__)


class SpaceDeletion:
    """One per front."""

    def __init__(self, store: Store, bundles: BundleStore, control: ApiControl, logs_dir: Path) -> None:
        self._store = store
        self._bundles = bundles
        self._control = control
        self._logs_dir = logs_dir

    async def delete(self, acting: Store, space: str) -> bool:
        """Delete a space; False if files of it are deleted later.  PlatformError 404."""
        functions = await run_in_threadpool(acting.spaces.begin_delete, space)
        return await self._go_on(space, functions)

    async def finish_all(self) -> None:
        """End what others have begun."""
        try:
            for space in await run_in_threadpool(self._store.spaces.deleting):
                await self._go_on(space, ())
            if self._mark.exists():
                async with self._alone():
                    await run_in_threadpool(self._shred)
        except (OSError, PlatformError) as error:
            log.warning("cannot finish the delete of a space: %s; it is tried again", error)

    async def _go_on(self, space: str, functions: Sequence[str]) -> bool:
        """Steps 2 to 4."""
        try:
            async with self._alone():
                # Another front may have ended it meanwhile, and a new space may have this name.
                if space not in await run_in_threadpool(self._store.spaces.deleting):
                    return True
                await self._control.changed("deleted", space)
                await self._instances_gone(space, functions)
                return await run_in_threadpool(self._remove, space)
        except (OSError, PlatformError) as error:
            log.warning("cannot delete all of space %s yet: %s; it is tried again", space, error)
            return False

    async def _instances_gone(self, space: str, functions: Sequence[str]) -> None:
        left = list(functions)
        deadline = asyncio.get_running_loop().time() + INSTANCES_GONE_S
        while left and asyncio.get_running_loop().time() < deadline:
            if (await self._control.standing(space, left[-1])).replicas:
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                left.pop()

    def _remove(self, space: str) -> bool:
        """Steps 3 and 4; blocks."""
        delete_space(self._logs_dir, space)
        # On disk first: the store says what is left to do, and gives a bundle back that is needed.
        marked = self._store.spaces.marked_bundles()
        self._bundles.remove(marked)
        self._store.spaces.delete_bundles(marked)
        delete_space(self._logs_dir, space)  # what was just being written at the first time
        self._mark.touch(0o600)
        self._store.spaces.end_delete(space)
        return self._shred()

    def _shred(self) -> bool:
        is_done = self._store.spaces.shred()
        if is_done:
            self._mark.unlink(missing_ok=True)
        return is_done

    @property
    def _mark(self) -> Path:
        return self._logs_dir.with_name(SHRED_NAME)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """No other front is at it; a front that dies lets go.  OSError, PlatformError."""
        lock = await run_in_threadpool(self._lock)
        try:
            yield
        finally:
            os.close(lock)

    def _lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._logs_dir.with_name(LOCK_NAME), flags, 0o600)
        deadline = time.monotonic() + LOCK_WAIT_S
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return lock
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise PlatformError(503, "another delete goes on") from None
                    time.sleep(LOOK_EVERY_S)
        except BaseException:
            os.close(lock)
            raise
