"""Which connections are ended because they bring nothing, and which are not."""

from __future__ import annotations

import pytest

from supervisor.front.http.connection_waits import (
    ConnectionState,
    Observation,
    Phase,
    SweepAction,
    WaitLimits,
    judge,
    look,
)

TIMES = WaitLimits(keepalive_s=10.0, head_s=5.0, body_s=7.0, unread_s=4.0, linger_s=3.0)
WAITING, BUSY = ConnectionState(1, Phase.IDLE, 0), ConnectionState(1, Phase.BUSY, 0)
HEAD, BODY, LINGER = (
    ConnectionState(1, Phase.HEAD, 0),
    ConnectionState(1, Phase.BODY, 0),
    ConnectionState(1, Phase.LINGER, 0),
)


@pytest.mark.parametrize(
    ("state", "after_s", "action"),
    [
        (WAITING, 10.0, SweepAction.KEEP),
        (WAITING, 10.1, SweepAction.CLOSE),
        (BUSY, 1e6, SweepAction.KEEP),
        (HEAD, 5.0, SweepAction.KEEP),
        (HEAD, 5.1, SweepAction.CLOSE),
        (BODY, 7.0, SweepAction.KEEP),
        (BODY, 7.1, SweepAction.TOO_SLOW),
        (ConnectionState(1, Phase.HELD, 0), 1e6, SweepAction.KEEP),
        (LINGER, 3.0, SweepAction.KEEP),
        (LINGER, 3.1, SweepAction.ABORT),
        (ConnectionState(1, Phase.IDLE, 5), 4.0, SweepAction.KEEP),
        (ConnectionState(1, Phase.IDLE, 5), 4.1, SweepAction.ABORT),
        (ConnectionState(1, Phase.BUSY, 5), 4.1, SweepAction.ABORT),
    ],
)
def test_what_brings_nothing_for_its_time_is_ended(
    state: ConnectionState, after_s: float, action: SweepAction
) -> None:
    assert judge(Observation(state, 0.0), after_s, TIMES) is action


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        (WAITING, WAITING, False),
        (WAITING, ConnectionState(2, Phase.IDLE, 0), True),
        (WAITING, BUSY, True),
        (WAITING, HEAD, True),
        (HEAD, HEAD, False),
        (ConnectionState(1, Phase.BUSY, 9), ConnectionState(1, Phase.BUSY, 8), True),
        (ConnectionState(1, Phase.BUSY, 9), ConnectionState(1, Phase.BUSY, 9), False),
        (ConnectionState(1, Phase.BUSY, 9), ConnectionState(1, Phase.BUSY, 10), False),
    ],
)
def test_a_request_or_a_byte_that_is_read_begins_the_wait_anew(
    before: ConnectionState, after: ConnectionState, is_new: bool
) -> None:
    assert look(Observation(before, 1.0), after, 2.0) == Observation(after, 2.0 if is_new else 1.0)
    assert look(None, after, 2.0) == Observation(after, 2.0)
