"""One load of a key at a time: tasks that ask for it meanwhile wait for the load that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class SingleFlight(Generic[K]):
    """Runs loads by key; each load keeps its result itself."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[None]] = {}

    async def of(self, key: K, load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Return once a load of ``key`` has ended that had not ended before; raises what it raised."""
        task = self._running.get(key)
        if task is None or task.done():
            task = self._running[key] = asyncio.get_running_loop().create_task(self._run(key, load))
        # Shielded: the caller that asked first may hang up, and the others still wait.
        await asyncio.shield(task)

    async def _run(self, key: K, load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await load()
        finally:
            # A done callback would run a turn of the loop later.  Whoever asked in that turn would be given
            # the load that had ended.  If it had found nothing, they would ask again in the same turn, and
            # again, and the loop would never reach the callback.
            del self._running[key]
