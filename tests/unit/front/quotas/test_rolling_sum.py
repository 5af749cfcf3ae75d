"""Sums over a window of time, of several fronts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.front.quotas.counter_page import CounterPage
from supervisor.front.quotas.rolling_sum import AMOUNT_MOST, RollingSum
from supervisor.tenancy.quota_names import PARTS

WINDOW_S = 60
SLOTS = 3


def sums(page: CounterPage | None = None) -> list[RollingSum]:
    page = page or CounterPage(SLOTS, rows=2)
    return [RollingSum(page, 1, 0, slot, WINDOW_S) for slot in range(SLOTS)]


def test_what_one_front_spends_all_fronts_see() -> None:
    one, two, three = sums()
    one.add(5, 100.0)
    two.add(7, 100.5)
    assert [each.total(100.9) for each in (one, two, three)] == [12, 12, 12]


def test_it_comes_back_after_the_window_and_one_part() -> None:
    one, two, _ = sums()
    one.add(5, 100.0)
    assert two.total(160.99) == 5
    assert two.total(161.0) == 0
    assert one.wait_s(5, 100.0) == 61.0
    assert one.wait_s(6, 100.0) == 0.0


def test_the_wait_is_until_enough_has_come_back() -> None:
    one, two, _ = sums()
    one.add(5, 100.0)
    two.add(3, 110.0)
    assert one.wait_s(8, 120.0) == 41.0  # the five alone are enough
    assert one.wait_s(3, 120.0) == 51.0
    assert one.wait_s(0, 120.0) == PARTS + 1  # a limit of 0 never has room


def test_another_row_and_another_ring_are_other_sums() -> None:
    page = CounterPage(SLOTS, rows=2)
    RollingSum(page, 0, 0, 0, WINDOW_S).add(5, 100.0)
    RollingSum(page, 1, 1, 0, WINDOW_S).add(5, 100.0)
    assert sums(page)[0].total(100.0) == 0


def test_a_new_front_in_the_slot_of_a_dead_one_goes_on_with_its_sum() -> None:
    page = CounterPage(SLOTS, rows=2)
    sums(page)[0].add(5, 100.0)
    after = sums(page)[0]
    after.add(2, 100.5)
    assert after.total(100.5) == 7


def test_more_than_a_word_holds_is_the_most_that_it_holds() -> None:
    one, *_ = sums()
    one.add(1 << 50, 100.0)
    assert one.total(100.0) == AMOUNT_MOST


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4000), st.integers(0, 9)), max_size=60))
def test_the_sum_is_what_was_spent_in_the_last_parts(events: list[tuple[int, int, int]]) -> None:
    """Against a list of everything: whatever the order of fronts, and however long nobody spends."""
    page = sums()
    spent: list[tuple[int, int]] = []
    now = 0.0
    for slot, tenths, amount in events:
        now += tenths / 10
        page[slot].add(amount, now)
        spent.append((int(now), amount))
        expected = sum(amount for at, amount in spent if int(now) - at <= PARTS)
        assert page[(slot + 1) % SLOTS].total(now) == expected


def test_over_many_minutes_two_fronts_admit_what_is_allowed_and_at_most_five_per_cent_less() -> None:
    """At three times the limit, by a clock of the test's: never more in any 60 seconds."""
    limit, per_second, minutes = 600, 30, 6
    fronts = sums()[:2]
    admitted: list[float] = []
    for step in range(minutes * 60 * per_second):
        now = 1000.0 + step / per_second
        for front in fronts:
            if front.spend_one(now) <= limit:
                admitted.append(now)
            else:
                front.add(-1, now)
    for begin in range((minutes - 1) * 60 + 1):
        inside = sum(1000.0 + begin <= at < 1060.0 + begin for at in admitted)
        assert inside <= limit, begin
    assert len(admitted) >= 0.95 * limit * minutes
    first_minute = sum(at < 1060.0 for at in admitted)
    assert first_minute == limit
