"""What a front gathers between two writes."""

from __future__ import annotations

import pytest

from supervisor.front.usage import usage_book
from supervisor.front.usage.usage_book import CORES, OTHERS, UsageBook, cpu_us_of
from supervisor.function_limits import MIB
from supervisor.store.tenants.usage_batch import CallsKey, SpentKey, UsageBatch

NOON = 1_796_126_400.0  # 2026-12-01
MIDNIGHT = NOON + 43_200
HELLO = ("demo", "hello")
TOOK = (100, 2.0, MIB, 128)


def book(now: float = NOON) -> UsageBook:
    return UsageBook("front", lambda: now)


def batch_of(one: UsageBook) -> UsageBatch:
    found = one.batch()
    assert found is not None
    return found


def test_calls_of_a_day_a_function_and_an_outcome_are_one_row() -> None:
    one = book()
    for at in (NOON, NOON + 1, MIDNIGHT - 0.001):
        one.ended(HELLO, "answered", at, TOOK, (3, 4))
    one.ended(HELLO, "raised", NOON, TOOK, (0, 0))
    one.ended(HELLO, "answered", MIDNIGHT, TOOK, (0, 0))
    one.logged("demo", "hello", 7)
    assert batch_of(one).calls == {
        CallsKey("demo", "2026-12-01", "hello", "answered"): [3, 300, 6 * MIB, 9, 12, 0],
        CallsKey("demo", "2026-12-01", "hello", "raised"): [1, 100, 2 * MIB, 0, 0, 0],
        CallsKey("demo", "2026-12-02", "hello", "answered"): [1, 100, 2 * MIB, 0, 0, 0],
        CallsKey("demo", "2026-12-01", "hello", ""): [0, 0, 0, 0, 0, 7],
    }


def test_a_clock_that_is_set_back_goes_back_a_day() -> None:
    one = book()
    one.ended(HELLO, "answered", MIDNIGHT, TOOK, (0, 0))
    one.ended(HELLO, "answered", NOON, TOOK, (0, 0))
    assert sorted(key.day for key in batch_of(one).calls) == ["2026-12-01", "2026-12-02"]


def test_a_batch_stays_as_it_is_until_it_is_done() -> None:
    one = book()
    assert one.batch() is None
    one.ended(HELLO, "answered", NOON, TOOK, (0, 0))
    first = batch_of(one)
    one.ended(HELLO, "answered", NOON, TOOK, (0, 0))
    one.spent("demo", "q", 5, 7)
    one.spent("demo", "q", 5, 1)
    assert one.batch() is first and first.number == 1
    one.done(first)
    second = batch_of(one)
    assert (second.number, second.spent) == (2, {SpentKey("demo", "q", 5): 8})
    one.done(second)
    assert one.batch() is None


def test_functions_that_are_too_many_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away for long costs a bounded memory, and the sums of a space stay right."""
    monkeypatch.setattr(usage_book, "KEYS_MOST", 2)
    one = book()
    for name in "abcda":
        one.ended(("demo", name), "answered", NOON, TOOK, (1, 0))
    found = {key.function: row[0] for key, row in batch_of(one).calls.items()}
    assert found == {"a": 2, "b": 1, OTHERS: 2}


def test_what_a_cell_says_is_cut_at_what_it_can_have_used() -> None:
    """A forged report of 2**53 microseconds and 2**50 bytes would not fit into the sum of a day."""
    assert cpu_us_of(1 << 53, 1.0) == pytest.approx(CORES * 1e6, rel=0.02)
    assert cpu_us_of(900_000, 1.0) == 900_000
    one = book()
    one.ended(HELLO, "answered", NOON, (0, 2.0, 1 << 50, 128), (0, 0))
    (row,) = batch_of(one).calls.values()
    assert row[2] == 2 * 128 * MIB
