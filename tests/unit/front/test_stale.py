"""Which connections are ended because they bring nothing, and which are not."""

from __future__ import annotations

import pytest

from supervisor.front.stale import Seen, State, Verdict, Watch, judge, look

KEEPALIVE_S, UNREAD_S = 10.0, 4.0
WAITING, BUSY = State(1, True, 0), State(1, False, 0)


@pytest.mark.parametrize(
    ("state", "after_s", "verdict"),
    [
        (WAITING, 10.0, Verdict.KEEP),
        (WAITING, 10.1, Verdict.CLOSE),
        (BUSY, 1e6, Verdict.KEEP),
        (State(1, True, 5), 4.0, Verdict.KEEP),
        (State(1, True, 5), 4.1, Verdict.ABORT),
        (State(1, False, 5), 4.1, Verdict.ABORT),
    ],
)
def test_what_brings_nothing_for_its_time_is_ended(state: State, after_s: float, verdict: Verdict) -> None:
    assert judge(Seen(state, 0.0), after_s, KEEPALIVE_S, UNREAD_S) is verdict


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        (WAITING, WAITING, False),
        (WAITING, State(2, True, 0), True),
        (WAITING, BUSY, True),
        (State(1, False, 9), State(1, False, 8), True),
        (State(1, False, 9), State(1, False, 9), False),
        (State(1, False, 9), State(1, False, 10), False),
    ],
)
def test_a_request_or_a_byte_that_is_read_begins_the_wait_anew(
    before: State, after: State, is_new: bool
) -> None:
    assert look(Seen(before, 1.0), after, 2.0) == Seen(after, 2.0 if is_new else 1.0)
    assert look(None, after, 2.0) == Seen(after, 2.0)


class Connection:
    def __init__(self, state: State) -> None:
        self.now = state
        self.ends: list[bool] = []

    def state(self) -> State:
        return self.now

    def end(self, at_once: bool) -> None:
        self.ends.append(at_once)


def test_each_connection_has_a_time_of_its_own() -> None:
    watch = Watch(KEEPALIVE_S, UNREAD_S)
    idle, unread, alive = Connection(WAITING), Connection(State(1, False, 9)), Connection(WAITING)
    for second in range(12):
        alive.now = State(second, True, 0)
        watch.sweep([idle, alive, *([unread] if not unread.ends else [])], float(second))
    assert (idle.ends, unread.ends, alive.ends) == ([False], [True], [])
