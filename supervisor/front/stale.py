"""Connections that hold memory and give nothing for it: no request comes, or nobody reads the answer.

gunicorn's own timer for the first is taken back before it can ring, and for the second it has none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary


class Verdict(enum.Enum):
    """What becomes of a connection."""

    KEEP = "keep"
    CLOSE = "close"
    ABORT = "abort"


class State(NamedTuple):
    """``requests`` so far; whether the next one's head is awaited; bytes that the kernel has not taken."""

    requests: int
    is_waiting: bool
    unsent: int


class Seen(NamedTuple):
    """A state that has brought nothing new since ``since``, seconds of the loop's clock."""

    state: State
    since: float


def look(seen: Seen | None, state: State, now: float) -> Seen:
    """What is remembered after a look."""
    if seen is None or (state.requests, state.is_waiting) != seen.state[:2]:
        return Seen(state, now)
    if state.unsent < seen.state.unsent:  # somebody reads
        return Seen(state, now)
    return Seen(state, seen.since)


def judge(seen: Seen, now: float, keepalive_s: float, stall_s: float) -> Verdict:
    """A half-written head counts as none: drop by drop it may take as long as no head at all."""
    waited = now - seen.since
    if seen.state.unsent:
        return Verdict.ABORT if waited > stall_s else Verdict.KEEP
    if seen.state.is_waiting:
        return Verdict.CLOSE if waited > keepalive_s else Verdict.KEEP
    return Verdict.KEEP  # its call has limits of its own


class Watch:
    """Looks at all connections, now and then: nothing of it is in a call's way."""

    def __init__(self, keepalive_s: float, stall_s: float) -> None:
        self._keepalive_s = keepalive_s
        self._stall_s = stall_s
        # The shorter of both: whoever sweeps does so some times within it.
        self.patience_s = min(keepalive_s, stall_s)
        self._seen: WeakKeyDictionary[Any, Seen] = WeakKeyDictionary()

    def sweep(self, connections: Iterable[Any], now: float) -> None:
        """End those whose time is up; each says its ``state()`` and can be told ``end(at_once)``."""
        for connection in connections:
            state = connection.state()
            seen = self._seen[connection] = look(self._seen.get(connection), state, now)
            verdict = judge(seen, now, self._keepalive_s, self._stall_s)
            if verdict is not Verdict.KEEP:
                connection.end(verdict is Verdict.ABORT)
