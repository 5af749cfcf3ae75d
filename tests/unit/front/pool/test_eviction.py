"""Which instances end after an idle time, and which make way when cells are scarce."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from supervisor.front.pool.eviction import Candidate, idle_too_long, to_evict

instances = st.lists(
    st.builds(
        Candidate,
        st.sampled_from("abc"),
        st.floats(0, 100),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(0, 1000),
    ),
    max_size=20,
    unique_by=lambda each: each.what,
)


def one(
    name: str, space: str, last_used: float, *, idle: bool = True, leaving: bool = False, kept: bool = False
) -> Candidate[str]:
    return Candidate(space, last_used, idle, leaving, kept, name)


@dataclass
class Held:
    """An instance as ``idle_too_long`` sees it."""

    last_used: float
    load: int = 0


def test_instances_idle_too_long_end_the_longest_idle_first_and_busy_ones_never() -> None:
    old, older, fresh, busy = Held(2.0), Held(1.0), Held(9.0), Held(1.0, load=1)
    assert idle_too_long([old, fresh, busy, older], 5.0, most=3) == [older, old]


def test_those_that_the_function_keeps_stay_however_long_they_are_idle() -> None:
    held = [Held(1.0), Held(2.0), Held(3.0)]
    assert idle_too_long(held, 5.0, most=1) == [held[0]]
    assert idle_too_long(held, 5.0, most=0) == idle_too_long(held, 5.0, most=-1) == []


def test_of_idle_ones_the_space_that_has_most_gives_first_and_its_longest_idle_one() -> None:
    held = [one("old", "few", 1.0), one("a", "many", 9.0), one("b", "many", 5.0), one("c", "many", 7.0)]
    assert to_evict(held, "", 2) == ["b", "c"]
    assert to_evict(held, "", 3) == ["b", "c", "old"], "then both have one"


def test_of_a_space_those_that_are_kept_make_way_last_but_do() -> None:
    held = [one("kept", "many", 1.0, kept=True), one("new", "many", 9.0), one("few", "few", 2.0)]
    assert to_evict(held, "", 3) == ["new", "few", "kept"]
    assert to_evict(held, "many", 2) == ["new", "kept"]


def test_without_a_space_nothing_busy_ends() -> None:
    assert to_evict([one("busy", "a", 1.0, idle=False)], "", 3) == []


def test_of_a_space_busy_ones_make_way_after_the_idle_ones() -> None:
    held = [one("busy", "a", 1.0, idle=False), one("idle", "a", 2.0), one("other", "b", 0.0)]
    assert to_evict(held, "a", 1) == ["idle"]
    assert to_evict(held, "a", 5) == ["idle", "busy"]


def test_being_asked_again_for_the_same_does_not_make_more_of_them_go() -> None:
    held = [one("first", "a", 1.0, idle=False, leaving=True), one("next", "a", 2.0, idle=False)]
    assert to_evict(held, "a", 1) == []
    assert to_evict(held, "a", 2) == ["next"]


@given(instances, st.sampled_from(["", "a", "b"]), st.integers(0, 10))
def test_never_more_than_asked_for_never_twice_and_never_one_that_is_on_its_way(
    held: list[Candidate[int]], space: str, number: int
) -> None:
    by_name = {each.what: each for each in held}
    found = to_evict(held, space, number)
    assert len(found) == len(set(found)) <= number
    for each in (by_name[name] for name in found):
        assert not each.is_leaving
        assert each.space == space if space else each.is_idle
