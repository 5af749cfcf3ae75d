"""Connections that hold memory and give nothing for it: no request comes, or nobody reads the answer.

A timer for each would cost every request; a look at all of them, now and then, costs none.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class Phase(enum.IntEnum):
    """What a connection waits for."""

    IDLE = 0  # a request
    HEAD = 1  # the rest of its head
    HELD = 2  # somebody who wants its body
    BODY = 3  # the rest of that
    BUSY = 4  # its answer
    LINGER = 5  # the caller, who still sends what nobody reads
    CLOSED = 6


class Verdict(enum.Enum):
    """What becomes of a connection."""

    KEEP = "keep"
    CLOSE = "close"
    ABORT = "abort"
    TOO_SLOW = "too slow"


class State(NamedTuple):
    """``requests`` so far; what is awaited; bytes that the kernel has not taken."""

    requests: int
    phase: Phase
    unsent: int


class Seen(NamedTuple):
    """A state that has brought nothing new since ``since``, seconds of the loop's clock."""

    state: State
    since: float


@dataclass(frozen=True)
class Times:
    """The longest waits, seconds."""

    keepalive_s: float
    head_s: float
    body_s: float
    unread_s: float
    linger_s: float


def look(seen: Seen | None, state: State, now: float) -> Seen:
    """What is remembered after a look."""
    if seen is None or (state.requests, state.phase) != seen.state[:2]:
        return Seen(state, now)
    if state.unsent < seen.state.unsent:  # somebody reads
        return Seen(state, now)
    return Seen(state, seen.since)


def judge(seen: Seen, now: float, times: Times) -> Verdict:
    """A head or a body has one time for all of it: drop by drop it takes no longer than at once."""
    waited = now - seen.since
    phase = seen.state.phase
    if seen.state.unsent:
        return Verdict.ABORT if waited > times.unread_s else Verdict.KEEP
    if phase is Phase.IDLE:
        return Verdict.CLOSE if waited > times.keepalive_s else Verdict.KEEP
    if phase is Phase.HEAD:
        return Verdict.CLOSE if waited > times.head_s else Verdict.KEEP
    if phase is Phase.BODY:
        return Verdict.TOO_SLOW if waited > times.body_s else Verdict.KEEP
    if phase is Phase.LINGER:
        return Verdict.ABORT if waited > times.linger_s else Verdict.KEEP
    return Verdict.KEEP  # its call has limits of its own
