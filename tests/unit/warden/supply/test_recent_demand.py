"""The number of blank cells follows recent demand, up and down, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.warden.supply.recent_demand import MEMORY_S, RecentDemand, after_request, blank_cells_to_keep

LEAST, MOST, ROOM = 4, 16, 200
times = st.lists(st.floats(0, 100), max_size=60).map(sorted)


def paced(moments: list[float], most: int = 256) -> RecentDemand:
    demand = RecentDemand()
    for moment in moments:
        demand = after_request(demand, most, moment)
    return demand


def test_after_a_burst_as_many_are_kept_as_came_and_when_it_is_quiet_the_least_again() -> None:
    demand = paced([50.0] * 12)
    assert blank_cells_to_keep(RecentDemand(), LEAST, MOST, ROOM, 50.0) == LEAST
    assert blank_cells_to_keep(demand, LEAST, MOST, ROOM, 50.0) == 12
    assert LEAST < blank_cells_to_keep(demand, LEAST, MOST, ROOM, 52.0) < 12
    assert blank_cells_to_keep(demand, LEAST, MOST, ROOM, 50.0 + 2 * MEMORY_S) == LEAST


def test_one_now_and_then_changes_nothing() -> None:
    assert (
        blank_cells_to_keep(paced([float(second) for second in range(0, 100, 5)]), LEAST, MOST, ROOM, 100.0)
        == LEAST
    )


def test_a_steady_rate_keeps_what_it_takes() -> None:
    assert blank_cells_to_keep(
        paced([second / 4 for second in range(400)]), LEAST, 256, 1000, 100.0
    ) in range(18, 23)


def test_a_flood_is_forgotten_as_soon_as_a_burst() -> None:
    demand = paced([50.0] * 5000, MOST)
    assert blank_cells_to_keep(demand, LEAST, MOST, ROOM, 50.0) == MOST
    assert blank_cells_to_keep(demand, LEAST, MOST, ROOM, 50.0 + 2 * MEMORY_S) == LEAST


@given(times, st.integers(0, 20), st.integers(0, 40), st.integers(-3, 300), st.floats(0, 1000))
def test_never_below_the_least_nor_above_the_most_nor_beyond_its_share_of_the_room(
    moments: list[float], least: int, most: int, room: int, later: float
) -> None:
    kept = blank_cells_to_keep(paced(moments), least, most, room, 100.0 + later)
    assert kept >= least
    assert kept <= max(least, most)
    assert kept <= least + max(0, room) // 4
    if not least:
        assert kept == 0


@given(times, st.floats(0, 100), st.floats(0, 100))
def test_without_demand_it_only_falls_and_with_demand_it_is_no_less(
    moments: list[float], sooner: float, later: float
) -> None:
    demand, now = paced(moments), 100.0 + sooner
    assert blank_cells_to_keep(demand, LEAST, MOST, ROOM, now + later) <= blank_cells_to_keep(
        demand, LEAST, MOST, ROOM, now
    )
    assert blank_cells_to_keep(
        after_request(demand, 256, now), LEAST, MOST, ROOM, now
    ) >= blank_cells_to_keep(demand, LEAST, MOST, ROOM, now)
