"""What a front counts of its calls, and what all fronts' counts come to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.datagrams import MESSAGE_MAX_BYTES, PAGE_BYTES, pages
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.telemetry import call_counters, survey
from supervisor.front.telemetry.call_counters import CallCounters, bucket_of, upper_ms
from supervisor.link_records import CellRow, FunctionRow, InstanceRow


def function(version: int = 1, waiting: int = 0, instances: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(version=version, waiting=waiting, instances=instances)


def instance(cell: str, **given: Any) -> Any:
    usual = {"load": 0, "served": 0, "peak_bytes": 0, "ready_at": 1.0, "is_ending": False}
    return SimpleNamespace(**{**usual, "is_retiring": False, "is_frozen": False, "cell": cell, **given})


def test_a_duration_is_at_most_a_fifth_below_the_upper_end_of_its_bucket() -> None:
    for seconds in (2e-6, 1e-4, 1.3e-3, 0.05, 1.0, 59.0, 3000.0):
        upper = upper_ms(bucket_of(seconds)) / 1e3
        assert seconds <= upper <= seconds * 2**0.25 * 1.0001


def test_no_duration_is_outside_the_buckets() -> None:
    assert bucket_of(0.0) == 0
    assert bucket_of(1e12) == call_counters.BUCKETS - 1


def test_calls_to_names_that_do_not_exist_leave_nothing() -> None:
    counted = CallCounters({("a", "b"): function()})
    counted.ended("a", "stranger", Outcome.REFUSED, 0.1)
    counted.ended("a", "b", Outcome.ANSWERED, 0.1)

    rows, left_out = counted.rows("", 2.0)

    assert [row[:3] for row in rows] == [("function", "a", "b")]
    assert left_out == 0


def test_what_a_function_came_to_outlives_its_version_and_not_its_end() -> None:
    known = {("a", "b"): function()}
    counted = CallCounters(known)
    counted.ended("a", "b", Outcome.RAISED, 0.1)
    known.clear()
    assert counted.rows("", 0.0)[0][0][3:5] == (0, {"raised": 1})

    counted.forget("a", "b")
    assert counted.rows("", 0.0) == ([], 0)


def test_a_space_has_its_own_rows_only() -> None:
    held = instance("c1", load=2, served=7, ready_at=3.0)
    counted = CallCounters({("a", "b"): function(3, 4, (held,)), ("other", "b"): function()})

    rows, _ = counted.rows("a", 5.0)

    assert rows == [
        FunctionRow("function", "a", "b", 3, {}, 2, 4, []),
        InstanceRow("instance", "c1", "a", "b", 3, "busy", 2.0, 2, 7, 0),
    ]


def test_more_rows_than_a_front_tells_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_counters, "ROWS_MOST", 3)
    held = tuple(instance(f"c{number}") for number in range(5))
    counted = CallCounters(
        {("a", f"f{number}"): function(instances=held if number == 1 else ()) for number in range(5)}
    )

    rows, left_out = counted.rows("", 5.0)

    assert len(rows) == 6
    assert left_out == 4


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"is_retiring": True, "load": 1}, "ending"),
        ({"ready_at": 0.0}, "starting"),
        ({"load": 1}, "busy"),
        ({"is_frozen": True}, "frozen"),
        ({}, "idle"),
    ],
)
def test_an_instance_is_in_one_state(given: dict[str, Any], word: str) -> None:
    assert call_counters.state_of(instance("c", **given)) == word


def test_the_longest_row_fits_into_a_page_and_pages_into_messages() -> None:
    counted = CallCounters({("s" * 63, "n" * 63): function(10**9, 10**6)})
    for outcome in Outcome:
        for bucket in range(call_counters.BUCKETS):
            counted.ended("s" * 63, "n" * 63, outcome, upper_ms(bucket) / 1.1e3)
    (row,), _ = counted.rows("", 0.0)

    found = list(pages([row] * 100))

    assert sum(len(page) for page in found) == 100
    assert all(len(page) > 1 for page in found[:-1])
    assert PAGE_BYTES < MESSAGE_MAX_BYTES


def test_the_counts_of_all_fronts_are_put_together() -> None:
    of_one = [
        FunctionRow("function", "a", "b", 3, {"answered": 2}, 1, 4, [[8, 2]]),
        InstanceRow("instance", "c1", "a", "b", 3, "busy", 2.0, 1, 2, 5),
    ]
    of_two = [FunctionRow("function", "a", "b", 2, {"answered": 1, "raised": 1}, 0, 1, [[8, 1], [9, 1]])]
    cells = [CellRow("cell", "c1", "leased", 1000), CellRow("cell", "c2", "blank", 500)]

    found = survey.merged([(11, of_one), (0, cells), (12, of_two)])

    (function_,) = found.functions
    assert (function_.version, function_.running, function_.waiting) == (3, 1, 5)
    assert function_.calls == {"answered": 3, "raised": 1}
    assert function_.durations == {upper_ms(8): 3, upper_ms(9): 1}
    assert (function_.instances, function_.memory_bytes) == (1, 1000)
    assert [(one.instance, one.front, one.memory_bytes) for one in found.instances] == [("c1", 11, 1000)]
    assert found.cells == {"leased": 1, "blank": 1}
