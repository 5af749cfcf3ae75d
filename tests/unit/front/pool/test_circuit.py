"""When a function that does not start is tried again."""

from __future__ import annotations

from supervisor.front.pool.circuit import CLOSED, FAILURES_MOST, FIRST_S, LONGEST_S, Circuit


def after(failures: int, now: float = 100.0) -> Circuit:
    """So many failures in a row."""
    circuit = CLOSED
    for _ in range(failures):
        circuit = circuit.failed(now)
    return circuit


def test_a_few_failures_close_nothing() -> None:
    for failures in range(FAILURES_MOST):
        assert after(failures).seconds_left(100.0) == 0.0


def test_then_it_is_open_for_longer_each_time_and_never_for_more_than_a_minute() -> None:
    pauses = [after(FAILURES_MOST + more).seconds_left(100.0) for more in range(12)]
    assert pauses[0] == FIRST_S and pauses[1] == 2 * FIRST_S
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_S
    assert after(10_000).seconds_left(100.0) == LONGEST_S


def test_when_its_time_is_over_one_more_start_may_be_tried() -> None:
    circuit = after(FAILURES_MOST)
    assert circuit.seconds_left(100.0 + FIRST_S / 2) == FIRST_S / 2
    assert circuit.seconds_left(100.0 + FIRST_S) == 0.0
    assert circuit.failed(200.0).seconds_left(200.0) == 2 * FIRST_S
