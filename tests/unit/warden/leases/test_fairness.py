"""Fairness between spaces when cells are scarce: none starves, and a space alone is never held back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from supervisor.warden.leases.fairness import (
    BUSY_AFTER_S,
    ROUNDS_MOST,
    ReclaimPlan,
    WaitingLease,
    in_turn,
    passed_after,
    reclaim_plans,
    whose_turn,
)
from supervisor.warden.supply.blank_target import GROWING_AT_ONCE

SPACES = "abcde"
spaces = st.sampled_from(SPACES)
holdings = st.dictionaries(spaces, st.integers(0, 20))
Turn = Callable[[list[str], Counter[str], dict[str, int]], int]


def fair(asking: list[str], held: Counter[str], passed: dict[str, int]) -> int:
    return whose_turn(asking, held, passed)


def first_come(asking: list[str], held: Counter[str], passed: dict[str, int]) -> int:
    return 0


class Cells:
    """A server with few cells, of which one comes free each round; leases wait in the order they came."""

    def __init__(self, turn: Turn, held: dict[str, int] | None = None) -> None:
        self._turn = turn
        self.asking: list[str] = []
        self.held = Counter(held or {})
        self._passed: dict[str, int] = {}

    def round(self) -> str:
        """The space that gets the next cell."""
        index = self._turn(self.asking, self.held, self._passed)
        space = self.asking.pop(index)
        self._passed = passed_after(space, self.asking, self._passed)
        self.held[space] += 1
        return space


def rounds_until_served(cells: Cells, space: str) -> int:
    rounds = 1
    while cells.round() != space:
        rounds += 1
    return rounds


def test_one_that_asks_for_a_cell_is_served_next_although_another_asked_for_fifty_before() -> None:
    cells = Cells(fair, {"flood": 8})
    cells.asking = ["flood"] * 50 + ["quiet"]
    assert rounds_until_served(cells, "quiet") == 1


def test_the_control_in_order_of_arrival_it_is_served_last() -> None:
    cells = Cells(first_come, {"flood": 8})
    cells.asking = ["flood"] * 50 + ["quiet"]
    assert rounds_until_served(cells, "quiet") == 51


@given(st.lists(spaces, min_size=1, max_size=40), holdings, st.data())
def test_no_space_that_waits_gets_nothing_for_longer_than_so_many_rounds(
    asking: list[str], held: dict[str, int], data: st.DataObject
) -> None:
    cells = Cells(fair, held)
    cells.asking = list(asking)
    waits: Counter[str] = Counter()
    for _ in range(60):
        # The worst that others can do: give up what they have just got, and ask for more.
        for space in data.draw(st.lists(spaces, max_size=3)):
            cells.asking.append(space)
        if not cells.asking:
            break
        others = set(cells.asking)
        served = cells.round()
        cells.held[served] -= data.draw(st.integers(0, 1))
        waits = Counter({space: waits[space] + 1 for space in others if space != served})
        assert max(waits.values(), default=0) <= ROUNDS_MOST + len(SPACES)


@given(st.integers(1, 30), holdings)
def test_a_space_alone_gets_everything_in_the_order_in_which_it_asked(
    number: int, held: dict[str, int]
) -> None:
    assert whose_turn(["a"] * number, held, {"a": ROUNDS_MOST}) == 0
    asking = [WaitingLease("a", 0.0)] * number
    (plea,) = reclaim_plans(asking, {"a": 30}, 0, now=100.0)
    assert plea == ReclaimPlan("", min(number, GROWING_AT_ONCE)), (
        "its own idle ones, and none of its busy ones"
    )


@given(st.lists(spaces, min_size=1, max_size=30), holdings)
def test_the_oldest_of_the_space_with_fewest_comes_first(asking: list[str], held: dict[str, int]) -> None:
    turn = whose_turn(asking, held, {})
    assert asking.index(asking[turn]) == turn
    assert held.get(asking[turn], 0) == min(held.get(space, 0) for space in asking)


@given(st.lists(spaces, min_size=1, max_size=30), holdings, st.dictionaries(spaces, st.integers(0, 20)))
def test_the_order_of_turns_has_everybody_once_and_begins_with_whose_turn_it_is(
    asking: list[str], held: dict[str, int], passed: dict[str, int]
) -> None:
    order = in_turn(asking, held, passed)
    assert sorted(order) == list(range(len(asking)))
    assert order[0] == whose_turn(asking, held, passed)
    for space in asking:
        own = [index for index in order if asking[index] == space]
        assert own == sorted(own), "the oldest of a space first"


@given(st.lists(spaces, max_size=30), holdings, st.integers(0, 40), st.floats(0, 1))
def test_no_more_is_asked_for_than_is_missing_and_never_so_that_the_giver_ends_up_with_less(
    asking: list[str], held: dict[str, int], coming: int, waited_s: float
) -> None:
    pleas = reclaim_plans([WaitingLease(space, 0.0) for space in asking], held, coming, now=waited_s)
    firm = {plea.space: plea.number for plea in pleas if plea.space}
    idle = sum(plea.number for plea in pleas if not plea.space)
    assert idle == max(0, min(len(asking) - coming, GROWING_AT_ONCE))
    assert sum(firm.values()) <= idle
    if firm:
        assert waited_s >= BUSY_AFTER_S
        poorest = min(held.get(space, 0) for space in asking)
        for space, number in firm.items():
            assert held[space] - number > poorest


def test_a_busy_cell_makes_way_for_a_space_that_has_none() -> None:
    asking = [WaitingLease("flood", 0.0), WaitingLease("quiet", 0.0)]
    assert reclaim_plans(asking, {"flood": 8}, 0, now=1.0) == [ReclaimPlan("", 2), ReclaimPlan("flood", 1)]
    assert reclaim_plans(asking, {"flood": 8}, 0, now=0.01) == [ReclaimPlan("", 2)], (
        "idle ones are asked for first"
    )
    assert reclaim_plans(asking, {"flood": 8}, 2, now=1.0) == [], "there is room, or about to be"


def test_the_only_cell_of_a_space_is_not_taken_for_one_that_has_none_while_it_is_busy() -> None:
    assert reclaim_plans([WaitingLease("quiet", 0.0)], {"other": 1}, 0, now=9.0) == [ReclaimPlan("", 1)]
