"""Deadlines that nearly never pass, for all calls of a front at the price of one timer.

``asyncio.timeout`` costs several system calls where the interpreter asks for its pid to find the
running loop; here an entry in a dict is all that a call pays, and a sweep looks at the oldest.
"""

from __future__ import annotations

import asyncio

# A limit may pass this much late; the limits are in the order of a minute.
SWEEP_SECONDS = 1.0


class Limit:
    """One wait, for a ``with`` block; ``is_over`` tells a cancellation of ours from anybody else's."""

    __slots__ = ("_limits", "is_over", "task", "until")

    def __init__(self, limits: dict[int, Limit], task: asyncio.Task[object], until: float) -> None:
        self._limits = limits
        self.task = task
        self.until = until
        self.is_over = False

    def __enter__(self) -> Limit:
        self._limits[id(self)] = self
        return self

    def __exit__(self, *_: object) -> None:
        del self._limits[id(self)]


class Patience:
    """Cancels the tasks whose wait took longer than ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        # All limits are equally long, so a dict's order is the order in which they end.
        self._limits: dict[int, Limit] = {}
        self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def limit(self) -> Limit:
        """Inside its block the current task is cancelled, with ``is_over`` set, when its time is up."""
        task = asyncio.current_task(self._loop)
        assert task is not None, "a limit outside a task"
        return Limit(self._limits, task, self._loop.time() + self._seconds)

    def _sweep(self) -> None:
        now = self._loop.time()
        for limit in self._limits.values():
            if limit.until > now:
                break
            if not limit.is_over:
                limit.is_over = True
                limit.task.cancel()
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
