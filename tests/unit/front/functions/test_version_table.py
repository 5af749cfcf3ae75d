"""What a front keeps of versions that aliases and numbers name, over changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.functions import version_table as module
from supervisor.front.functions.version_table import VersionTable
from supervisor.store import CalledAlias

KEY, OTHER = ("s", "f"), ("s", "g")


def entry(number: int, function_id: str = "id") -> Any:
    return SimpleNamespace(version=number, deployment=SimpleNamespace(function_id=function_id))


def alias(name: str, version: int, canary: int | None = None, share: int = 0) -> CalledAlias:
    numbers = [version] if canary is None else [version, canary]
    return CalledAlias(name, version, canary, share, {number: {} for number in numbers})


def test_an_alias_is_its_version_and_a_number_its_own_until_it_is_known_not_to_be_one() -> None:
    table = VersionTable()
    table.settle(KEY, entry(3), [alias("prod", 1, 2, 50)])
    assert table.numbers_of(KEY, "prod") == (1, 2) and table.numbers_of(KEY, "7") == (7,)
    for qualifier in ("prd", "07", "0", "-1", "1234567890", "", "@", "\u0661"):
        assert table.numbers_of(KEY, qualifier) == ()
    table.is_absent(KEY, 7)
    assert table.numbers_of(KEY, "7") == () and table.numbers_of(OTHER, "7") == (7,)
    table.changed(KEY)
    assert table.numbers_of(KEY, "7") == (7,) and table.numbers_of(KEY, "prod") == ()


def test_numbers_that_are_no_versions_are_remembered_within_a_bound() -> None:
    table = VersionTable()
    for number in range(1, 10 * module.ABSENT_MOST):
        table.is_absent(KEY, number)
        assert table.numbers_of(KEY, str(number)) == ()
        assert len(table._absent[KEY]) <= module.ABSENT_MOST


def test_a_change_leaves_what_an_alias_named_and_the_look_up_settles_it() -> None:
    table = VersionTable()
    first, second, third, fourth = (entry(number) for number in range(1, 5))
    table.settle(KEY, third, [alias("prod", 1, 2, 50)])
    table.add(KEY, first)
    table.add(KEY, second)
    table.add(KEY, entry(9))
    led = table.lead(KEY, "prod", [first, second])
    assert (led.main, led.canary, led.share) == (first, second, 50)
    assert {each.version for each in table.changed(KEY)} == {3, 9}
    assert table.traffic == {} and table.entry(KEY, 1) is first
    assert table.settle(KEY, fourth, [alias("prod", 2)]) == [first]
    assert [each for _, each in table.all()] == [second, fourth]


def test_a_function_that_was_made_anew_gets_none_of_the_old_ones_versions() -> None:
    table = VersionTable()
    table.settle(KEY, entry(2), [alias("prod", 1)])
    old = entry(1)
    table.add(KEY, old)
    table.changed(KEY)
    new = entry(1, "another")
    assert table.settle(KEY, new, [alias("prod", 1)]) == [old]
    assert table.entry(KEY, 1) is new


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deploy"), st.integers(1, 5)),
        st.tuples(st.just("alias"), st.integers(1, 5)),
        st.tuples(st.just("call"), st.integers(1, 5)),
        st.tuples(st.just("delete"), st.just(0)),
    ),
    max_size=30,
)


@settings(derandomize=True, database=None)
@given(STEPS)
def test_whatever_happens_each_version_is_live_once_or_retired_once(steps: list[tuple[str, int]]) -> None:
    """No pool is forgotten without being retired, and none is retired twice."""
    table = VersionTable()
    made: list[Any] = []
    retired: list[Any] = []
    active, named = 1, 1

    def version(number: int) -> Any:
        found = table.entry(KEY, number)
        if found is None:
            found = entry(number)
            made.append(found)
        return found

    for what, number in steps:
        if what == "delete":
            retired += table.forget(KEY)
            continue
        if what == "call":
            table.add(KEY, version(number))
            continue
        active, named = (number, named) if what == "deploy" else (active, number)
        retired += table.changed(KEY)
        retired += table.settle(KEY, version(active), [alias("prod", named)])
        live = {each.version for each in table.of(KEY)}
        assert active in live and live <= {active, named}
    live_now = [each for _, each in table.all()]
    assert sorted(map(id, [*live_now, *retired])) == sorted(map(id, made))
