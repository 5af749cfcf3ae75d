"""How many cells are started, over every small situation there is."""

from __future__ import annotations

import itertools

import pytest

from supervisor.warden.policy import (
    BACKOFF_FIRST_S,
    BACKOFF_MOST_S,
    GROWING_AT_ONCE,
    Demand,
    backoff,
    cells_to_start,
    may_wait,
)

SMALL = range(7)
SITUATIONS = list(itertools.product(SMALL, SMALL, SMALL, SMALL, SMALL))


def test_never_more_than_there_is_room_for_nor_than_may_grow_at_once() -> None:
    for wanted, blank, growing, pending, room in SITUATIONS:
        started = cells_to_start(Demand(wanted, blank, growing, pending), room)
        assert 0 <= started <= room
        assert started == 0 or started + growing <= GROWING_AT_ONCE


def test_never_more_than_is_missing() -> None:
    for wanted, blank, growing, pending, room in SITUATIONS:
        started = cells_to_start(Demand(wanted, blank, growing, pending), room)
        assert started <= max(0, wanted + pending - blank - growing)


def test_a_lease_that_waits_is_never_left_waiting_while_there_is_room() -> None:
    for wanted, blank, growing, pending, room in SITUATIONS:
        if pending > blank + growing and room and growing < GROWING_AT_ONCE:
            assert cells_to_start(Demand(wanted, blank, growing, pending), room) > 0


def test_more_is_asked_for_means_no_fewer_are_started() -> None:
    for wanted, blank, growing, pending, room in SITUATIONS:
        now = cells_to_start(Demand(wanted, blank, growing, pending), room)
        assert cells_to_start(Demand(wanted, blank, growing, pending + 1), room) >= now
        assert cells_to_start(Demand(wanted, blank + 1, growing, pending), room) <= now
        assert cells_to_start(Demand(wanted, blank, growing, pending), room + 1) >= now


def test_starting_what_is_said_again_and_again_fills_the_pool_and_stops() -> None:
    for wanted, pending in itertools.product(SMALL, SMALL):
        blank = 0
        for _ in range(20):
            blank += cells_to_start(Demand(wanted, blank, 0, pending), 100)
        assert blank == wanted + pending
    assert cells_to_start(Demand(4, 4, 0, 0), 100) == 0


@pytest.mark.parametrize("room", [0, -1, -5])
def test_nothing_is_started_without_room(room: int) -> None:
    assert cells_to_start(Demand(4, 0, 0, 9), room) == 0


def test_the_wait_after_failures_doubles_up_to_its_bound() -> None:
    waits = [backoff(failures) for failures in range(1, 40)]
    assert backoff(0) == backoff(-3) == 0.0
    assert waits[:4] == [BACKOFF_FIRST_S * factor for factor in (1, 2, 4, 8)]
    assert waits == sorted(waits) and waits[-1] == BACKOFF_MOST_S
    assert backoff(10**9) == BACKOFF_MOST_S


def test_a_spare_cell_waits_only_while_nobody_needs_one_and_half_of_them_are_there() -> None:
    for wanted, blank, growing, pending, _ in SITUATIONS:
        demand = Demand(wanted, blank, growing, pending)
        if may_wait(demand):
            assert not pending
            assert wanted <= 2 * blank
    assert may_wait(Demand(4, 3, 0, 0))
    assert may_wait(Demand(4, 2, 0, 0))
    assert not may_wait(Demand(4, 1, 0, 0))
    assert not may_wait(Demand(1, 0, 0, 0)), "the only one is grown at once"
    assert not may_wait(Demand(4, 3, 0, 1))
