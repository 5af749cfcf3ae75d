"""Which connections are ended because they bring nothing, and which are not."""

from __future__ import annotations

import pytest

from supervisor.front.http.idle_connections import Phase, Seen, State, Times, Verdict, judge, look

TIMES = Times(keepalive_s=10.0, head_s=5.0, body_s=7.0, unread_s=4.0, linger_s=3.0)
WAITING, BUSY = State(1, Phase.IDLE, 0), State(1, Phase.BUSY, 0)
HEAD, BODY, LINGER = State(1, Phase.HEAD, 0), State(1, Phase.BODY, 0), State(1, Phase.LINGER, 0)


@pytest.mark.parametrize(
    ("state", "after_s", "verdict"),
    [
        (WAITING, 10.0, Verdict.KEEP),
        (WAITING, 10.1, Verdict.CLOSE),
        (BUSY, 1e6, Verdict.KEEP),
        (HEAD, 5.0, Verdict.KEEP),
        (HEAD, 5.1, Verdict.CLOSE),
        (BODY, 7.0, Verdict.KEEP),
        (BODY, 7.1, Verdict.TOO_SLOW),
        (State(1, Phase.HELD, 0), 1e6, Verdict.KEEP),
        (LINGER, 3.0, Verdict.KEEP),
        (LINGER, 3.1, Verdict.ABORT),
        (State(1, Phase.IDLE, 5), 4.0, Verdict.KEEP),
        (State(1, Phase.IDLE, 5), 4.1, Verdict.ABORT),
        (State(1, Phase.BUSY, 5), 4.1, Verdict.ABORT),
    ],
)
def test_what_brings_nothing_for_its_time_is_ended(state: State, after_s: float, verdict: Verdict) -> None:
    assert judge(Seen(state, 0.0), after_s, TIMES) is verdict


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        (WAITING, WAITING, False),
        (WAITING, State(2, Phase.IDLE, 0), True),
        (WAITING, BUSY, True),
        (WAITING, HEAD, True),
        (HEAD, HEAD, False),
        (State(1, Phase.BUSY, 9), State(1, Phase.BUSY, 8), True),
        (State(1, Phase.BUSY, 9), State(1, Phase.BUSY, 9), False),
        (State(1, Phase.BUSY, 9), State(1, Phase.BUSY, 10), False),
    ],
)
def test_a_request_or_a_byte_that_is_read_begins_the_wait_anew(
    before: State, after: State, is_new: bool
) -> None:
    assert look(Seen(before, 1.0), after, 2.0) == Seen(after, 2.0 if is_new else 1.0)
    assert look(None, after, 2.0) == Seen(after, 2.0)
