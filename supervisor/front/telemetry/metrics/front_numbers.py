"""What else a front tells of itself: lines of logs, errors of the store, how late its loop is."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping

from supervisor.link_records import NumberRow

# How often the loop is looked at; with LOOKS the longest delay of the last minute is known, whoever asks.
LOOK_EVERY_S = 1.0
LOOKS = 60


class LoopLag:
    """How late the event loop runs a timer: calls that come at that moment are as late."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._late: deque[float] = deque(maxlen=LOOKS)
        self._begin()

    def _begin(self) -> None:
        self._due = self._loop.time() + LOOK_EVERY_S
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._late.append(max(0.0, self._loop.time() - self._due))
        self._begin()

    @property
    def longest_s(self) -> float:
        """The longest delay of the last LOOKS."""
        return max(self._late, default=0.0)


class FrontNumbers:
    """One front's numbers.

    ``requests`` are those that were no calls, by status code; whoever answers one counts it here.
    """

    def __init__(self, lag: LoopLag, counts: Mapping[tuple[str, str], Callable[[], int]]) -> None:
        """``counts`` say how many of something there were since the front began, by metric and label."""
        self._lag = lag
        self._counts = counts
        self._told: dict[tuple[str, str], int] = {}
        self.requests: Counter[int] = Counter()

    def rows(self) -> Iterator[NumberRow]:
        """What has grown since the last time, and what there is now."""
        requests, self.requests = self.requests, Counter()
        for code, number in requests.items():
            yield NumberRow("number", "cellblock_api_requests_total", str(code), number, True)
        for key, count in self._counts.items():
            now = count()
            yield NumberRow("number", *key, now - self._told.get(key, 0), True)
            self._told[key] = now
        yield NumberRow("number", "cellblock_front_loop_lag_seconds", "", self._lag.longest_s, False)
