"""``worker.serve.limit_watch``: when calls have left too many threads for the next one."""

from __future__ import annotations

from worker.serve.limit_watch import LimitWatch


def first_that_ends(counts: list[int], most: int) -> int | None:
    """The call after which the instance ends, given the number of threads after each call."""
    limits = LimitWatch()
    limits.most_threads = most
    return next((call for call, count in enumerate(counts, 1) if limits.runs_out_of_threads(count)), None)


def test_calls_that_each_leave_a_thread_end_the_instance_before_one_finds_no_room() -> None:
    assert first_that_ends(list(range(1, 100)), most=63) == 63


def test_calls_that_each_leave_several_end_it_with_that_much_room() -> None:
    assert first_that_ends(list(range(5, 200, 5)), most=63) == 12


def test_a_pool_that_the_first_call_fills_ends_nothing() -> None:
    assert first_that_ends([50] * 100, most=63) is None
    assert first_that_ends([63] * 100, most=63) is None


def test_threads_that_come_and_go_end_nothing() -> None:
    assert first_that_ends([10, 40, 20, 60, 5, 60, 60, 63, 1] * 10, most=63) is None
