"""How many cells are started, in every small situation."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from supervisor.warden.supply.blank_target import (
    BACKOFF_FIRST_S,
    BACKOFF_MOST_S,
    GROWING_AT_ONCE,
    Demand,
    backoff,
    can_refill_wait,
    starts_by_kind,
)

SMALL = range(7)
SITUATIONS = list(itertools.product(SMALL, SMALL, SMALL, SMALL, SMALL))


def cells_to_start(demand: Demand, room: int) -> int:
    """Of a single kind."""
    return starts_by_kind({"only": demand}, room)["only"]


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
        if can_refill_wait(demand):
            assert not pending
            assert wanted <= 2 * blank
    assert can_refill_wait(Demand(4, 3, 0, 0))
    assert can_refill_wait(Demand(4, 2, 0, 0))
    assert not can_refill_wait(Demand(4, 1, 0, 0))
    assert not can_refill_wait(Demand(1, 0, 0, 0)), "the only one is grown at once"
    assert not can_refill_wait(Demand(4, 3, 0, 1))


def rounds(start: Callable[[dict[str, Demand], int], dict[str, int]]) -> int | None:
    """At a limit of four cells, all blank and of one kind: rounds until a lease of the other has its cell.

    In each round spare cells make way as in ``Registry``, then as many are started as ``start`` says; None
    after a hundred rounds.
    """
    blank = {"one": 4, "other": 0}
    for number in range(100):
        if blank["other"]:
            return number
        blank["one"] -= 1  # made room
        demands = {"one": Demand(4, blank["one"], 0, 0), "other": Demand(0, 0, 0, 1)}
        for kind, more in start(demands, 4 - sum(blank.values())).items():
            blank[kind] += more
    return None


def each_for_itself(demands: dict[str, Demand], room: int) -> dict[str, int]:
    started = {}
    for kind, demand in demands.items():
        started[kind] = cells_to_start(demand, room)
        room -= started[kind]
    return started


def test_a_spare_cell_never_takes_the_room_that_was_made_for_a_lease() -> None:
    assert rounds(starts_by_kind) == 1
    assert rounds(each_for_itself) is None, "the control: the one that made way is grown again, for ever"


SMALLER = [Demand(*numbers) for numbers in itertools.product(range(3), range(3), range(3), range(4))]


def test_room_is_shared_out_to_who_waits_and_what_is_left_to_spare_cells() -> None:
    for one, other, room in itertools.product(SMALLER, SMALLER, range(6)):
        started = starts_by_kind({"one": one, "other": other}, room)
        assert sum(started.values()) <= room
        for kind, demand in (("one", one), ("other", other)):
            assert 0 <= started[kind] <= cells_to_start(demand, room), "no more than it would have alone"
        waited_for = min(one.owed, GROWING_AT_ONCE - one.growing, room)
        assert started["one"] >= waited_for, "whose turn it is comes first"
        if room >= one.owed + other.owed:
            assert started["other"] >= min(other.owed, GROWING_AT_ONCE - other.growing)
        else:
            spare = [kind for kind, demand in (("one", one), ("other", other)) if started[kind] > demand.owed]
            assert not spare
