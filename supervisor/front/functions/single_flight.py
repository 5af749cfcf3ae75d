"""One load of a thing at a time: who asks for it meanwhile waits for the load that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class SingleFlight(Generic[K]):
    """Loads by key; what a load finds is its own to keep."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[None]] = {}

    async def of(self, key: K, load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Return when a load of ``key`` has ended that had not ended before; raises what it raised."""
        task = self._running.get(key)
        if task is None or task.done():
            task = self._running[key] = asyncio.get_running_loop().create_task(self._run(key, load))
        # Shielded: the caller that asked first may hang up, the others still wait.
        await asyncio.shield(task)

    async def _run(self, key: K, load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await load()
        finally:
            # Not in a callback of the task, which comes a turn of the loop later: who asked in that turn
            # would be given the load that had ended, and, if that found nothing, ask again in the same
            # turn, and again: the loop would never come to the callback.
            del self._running[key]
