"""The memory that fronts share."""

from __future__ import annotations

import os

import pytest

from supervisor.front.quotas.counter_page import RINGS, WORD_BYTES, CounterPage, CounterSlots
from supervisor.front.quotas.rolling_sum import RollingSum


def test_no_two_parts_of_the_page_overlap() -> None:
    page = CounterPage(slots=3, rows=4)
    seen = set(range(page.rows))
    for row in range(page.rows):
        for part in (page.running(row), *(page.ring(row, ring) for ring in range(RINGS))):
            words = set(range(part.start, part.stop))
            assert not seen & words
            seen |= words
    assert seen == set(range(len(page.words)))
    assert page.words.itemsize == WORD_BYTES


def test_a_forked_process_shares_it() -> None:
    page = CounterPage(slots=2, rows=1)
    pid = os.fork()
    if pid == 0:
        page.words[page.running(0).start + 1] = 7
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert page.words[page.running(0)].tolist() == [0, 7]


def test_a_row_that_goes_to_another_space_begins_at_nothing() -> None:
    page = CounterPage(slots=2, rows=2)
    for row in (0, 1):
        page.own(row, 5)
        page.words[page.running(row).start] = 3
        RollingSum(page, row, 2, 1, 60).add(9, 1.0)
    page.own(0, 5)
    assert page.words[page.running(0)].tolist() == [3, 0]  # the same quotas go on
    page.own(0, 6)
    assert page.words[page.running(0)].tolist() == [0, 0]
    assert RollingSum(page, 0, 2, 0, 60).total(1.0) == 0
    assert RollingSum(page, 1, 2, 0, 60).total(1.0) == 9  # the control: the other row


def test_a_dead_fronts_calls_run_no_more_and_what_they_spent_stays() -> None:
    slots = CounterSlots(fronts=2)
    page = slots.page
    first, second = slots.take(), slots.take()
    assert first is not None and second is not None
    for slot in (first, second):
        page.words[page.running(3).start + slot] = 4
        RollingSum(page, 3, 0, slot, 60).add(1, 1.0)
    slots.give_back(first)
    running = page.words[page.running(3)].tolist()
    assert (running[first], running[second]) == (0, 4)
    assert RollingSum(page, 3, 0, second, 60).total(1.0) == 2


def test_fronts_get_different_slots_and_more_than_there_are_get_none() -> None:
    slots = CounterSlots(fronts=2)
    taken = [slots.take() for _ in range(2 + CounterSlots.SPARE)]
    assert len({*taken, slots.past}) == 5
    assert slots.take() is None
    slots.give_back(None)
    slots.give_back(taken[0])
    assert slots.take() == taken[0]


@pytest.mark.promise("T99")
@pytest.mark.parametrize("word", [0, 1, (1 << 64) - 1, 1 << 40, 0xDEADBEEF << 32])
def test_whatever_stands_in_the_page_is_only_a_number(word: int) -> None:
    """A front that was taken over can write what it likes: the others count wrongly, and go on."""
    page = CounterPage(slots=2, rows=1)
    for index in range(len(page.words)):
        page.words[index] = word
    ring = RollingSum(page, 0, 0, 0, 60)
    for now in (0.0, 1.0, 5e9):
        ring.add(1, now)
        assert ring.total(now) >= 0
        assert ring.wait_s(1, now) >= 0
    page.own(0, 7)
    assert page.words[page.running(0)].tolist() == [0, 0]
