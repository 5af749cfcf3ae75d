"""Judges which connections have waited too long: for a request, its body, or a caller that reads.  Pure.

A timer per connection would cost every request.  A look at all connections now and then costs no request.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class Phase(enum.IntEnum):
    """What a connection waits for."""

    IDLE = 0  # a request
    HEAD = 1  # the rest of the head
    HELD = 2  # a reader that wants the body
    BODY = 3  # the rest of the body
    BUSY = 4  # the answer
    LINGER = 5  # the caller's close; what it still sends is thrown away
    CLOSED = 6


class Verdict(enum.Enum):
    """What is done with a connection."""

    KEEP = "keep"
    CLOSE = "close"
    ABORT = "abort"
    TOO_SLOW = "too slow"


class State(NamedTuple):
    """``requests`` so far, the phase, and the ``unsent`` bytes that the kernel has not taken."""

    requests: int
    phase: Phase
    unsent: int


class Seen(NamedTuple):
    """A state without progress since ``since``, a time on the loop's clock."""

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
    """The state to remember after a look at ``state``."""
    if seen is None or (state.requests, state.phase) != seen.state[:2]:
        return Seen(state, now)
    if state.unsent < seen.state.unsent:  # the caller reads
        return Seen(state, now)
    return Seen(state, seen.since)


def judge(seen: Seen, now: float, times: Times) -> Verdict:
    """What to do with a connection.

    A head or a body has one time limit in all, so a caller gains nothing by sending it drop by drop.
    """
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
    return Verdict.KEEP  # the call has a time limit of its own
