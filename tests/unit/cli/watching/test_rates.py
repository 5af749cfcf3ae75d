"""What two looks at a server's counters come to."""

from __future__ import annotations

from typing import Any

from supervisor.cli.watching.rates import percentile, rates


def row(name: str, answered: int, **more: Any) -> dict[str, Any]:
    return {"space": "s", "name": name, "calls": {"answered": answered}, **more}


def test_calls_a_second_are_those_between_the_looks_the_busiest_first() -> None:
    found = rates([row("a", 10), row("b", 5)], [row("a", 12), row("b", 25), row("new", 2)], 2.0)

    assert [(one.full_name, one.calls_per_s) for one in found] == [
        ("s/b", 10.0),
        ("s/a", 1.0),
        ("s/new", 1.0),
    ]


def test_counters_of_a_front_that_began_anew_are_no_negative_rate() -> None:
    (found,) = rates([row("a", 1000)], [row("a", 3)], 1.0)

    assert found.calls_per_s == 0.0


def test_durations_are_those_between_the_looks() -> None:
    before = row("a", 100, durations={"1.5": 100, "40.0": 0})
    after = row("a", 200, durations={"1.5": 195, "40.0": 5})

    (found,) = rates([before], [after], 1.0)

    assert (found.p50_ms, found.p99_ms) == (1.5, 40.0)
    assert rates([after], [after], 1.0)[0].p50_ms is None


def test_a_percentile_of_nothing_is_nothing() -> None:
    assert percentile({}, 99) is None
    assert percentile({3.0: 0}, 50) is None


def test_what_came_to_no_answer_is_said_by_its_word() -> None:
    (found,) = rates([], [row("a", 1) | {"calls": {"answered": 1, "timeout": 2, "raised": 1}}], 1.0)

    assert found.besides_answered() == "1 raised, 2 timeout"


def test_a_row_that_makes_no_sense_is_a_row_of_nothing() -> None:
    (found,) = rates(
        [{"space": "s", "name": "a", "calls": 3}],
        [{"space": "s", "name": "a", "calls": [], "version": "x"}],
        1,
    )

    assert (found.calls_per_s, found.version, found.outcomes) == (0.0, 0, {})
