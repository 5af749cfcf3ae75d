"""Judges which connections have waited too long: for a request, its body, or a caller that reads.  Pure.

A timer per connection would cost every request.  A look at all connections now and then costs no request.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Phase(enum.IntEnum):
    """What a connection waits for."""

    IDLE = 0  # a request
    HEAD = 1  # the rest of the head
    HELD = 2  # a handler that wants the body
    BODY = 3  # the rest of the body
    BUSY = 4  # the answer
    LINGER = 5  # the caller's close; what it still sends is thrown away
    CLOSED = 6


class SweepAction(enum.Enum):
    """What is done with a connection."""

    KEEP = "keep"
    CLOSE = "close"
    ABORT = "abort"
    TOO_SLOW = "too slow"


class ConnectionState(NamedTuple):
    """``requests`` so far, the phase, and the ``unsent`` bytes that the kernel has not taken."""

    requests: int
    phase: Phase
    unsent: int


class Observation(NamedTuple):
    """A state without progress since ``since``, a time on the loop's clock."""

    state: ConnectionState
    since: float


class WaitLimits(NamedTuple):
    """How long a connection may stay in each phase without progress, in seconds."""

    keepalive_s: float
    head_s: float
    body_s: float
    unread_s: float
    linger_s: float


def look(seen: Observation | None, state: ConnectionState, now: float) -> Observation:
    """The state to remember after a look at ``state``."""
    if seen is None or (state.requests, state.phase) != seen.state[:2]:
        return Observation(state, now)
    if state.unsent < seen.state.unsent:  # the caller reads
        return Observation(state, now)
    return Observation(state, seen.since)


def judge(seen: Observation, now: float, times: WaitLimits) -> SweepAction:
    """What to do with a connection.

    A head or a body has one time limit in all, so a caller gains nothing by sending it drop by drop.
    """
    waited = now - seen.since
    phase = seen.state.phase
    if seen.state.unsent:
        return SweepAction.ABORT if waited > times.unread_s else SweepAction.KEEP
    if phase is Phase.IDLE:
        return SweepAction.CLOSE if waited > times.keepalive_s else SweepAction.KEEP
    if phase is Phase.HEAD:
        return SweepAction.CLOSE if waited > times.head_s else SweepAction.KEEP
    if phase is Phase.BODY:
        return SweepAction.TOO_SLOW if waited > times.body_s else SweepAction.KEEP
    if phase is Phase.LINGER:
        return SweepAction.ABORT if waited > times.linger_s else SweepAction.KEEP
    return SweepAction.KEEP  # the call has a time limit of its own
