"""What a front counts of its calls for ``/metrics``, and that it forgets what it has told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.telemetry.metrics import call_metrics
from supervisor.front.telemetry.metrics.call_metrics import BOUNDS_S, OTHER, UNKNOWN, CallMetrics
from supervisor.link_records import CallsRow
from supervisor.warden.metrics import server_totals

TIMES = (0.002, 0.0, 0.0)


def function(waiting: int = 0, loads: tuple[int, ...] = ()) -> Any:
    return SimpleNamespace(waiting=waiting, instances=[SimpleNamespace(load=load) for load in loads])


def rows_of(counted: CallMetrics) -> dict[tuple[str, str], CallsRow]:
    return {(row.space, row.name): row for row in counted.rows()}


def test_a_call_is_counted_by_outcome_status_and_times() -> None:
    counted = CallMetrics({("s", "f"): function()})
    counted.ended(("s", "f"), Outcome.ANSWERED, 201, 3, (0.002, 0.0005, 0.3))
    counted.ended(("s", "f"), Outcome.CANCELLED, 0, 3, (100.0, 0.0, 0.0))

    row = rows_of(counted)["s", "f"]

    assert (row.outcomes, row.codes) == ({"answered": 1, "cancelled": 1}, {"201": 1, "0": 1})
    assert row.durations[BOUNDS_S.index(0.0025)] == row.durations[-1] == 1 and sum(row.durations) == 2
    assert (sum(row.queues), row.queues[0], sum(row.starts)) == (2, 2, 1)
    assert (row.duration_s, row.queue_s, row.start_s) == (100.002, 0.0005, 0.3)


def test_a_time_on_the_end_of_a_bucket_is_in_it_as_prometheus_has_it() -> None:
    counted = CallMetrics({("s", "f"): function()})
    counted.ended(("s", "f"), Outcome.ANSWERED, 200, 1, (BOUNDS_S[4], 0.0, 0.0))
    assert rows_of(counted)["s", "f"].durations[4] == 1


def test_what_was_told_is_told_once() -> None:
    counted = CallMetrics({("s", "f"): function()})
    counted.ended(("s", "f"), Outcome.ANSWERED, 200, 1, TIMES)
    assert rows_of(counted)["s", "f"].outcomes == {"answered": 1}
    assert rows_of(counted) == {}


def test_calls_that_reached_no_function_are_counted_together() -> None:
    counted = CallMetrics({})
    for number in range(100):
        counted.ended(("s", f"invented-{number}"), Outcome.REFUSED, 404, 0, TIMES)
    assert {key: row.outcomes for key, row in rows_of(counted).items()} == {UNKNOWN: {"refused": 100}}


def test_a_call_of_a_version_that_was_replaced_meanwhile_is_still_its_functions() -> None:
    counted = CallMetrics({})
    counted.ended(("s", "replaced"), Outcome.ANSWERED, 200, 1, TIMES)
    assert list(rows_of(counted)) == [("s", "replaced")]


def test_between_two_scrapes_functions_are_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(call_metrics, "FUNCTIONS_MOST", 2)
    counted = CallMetrics({("s", name): function() for name in "abcd"})
    for name in "abcdc":
        counted.ended(("s", name), Outcome.ANSWERED, 200, 1, TIMES)
    found = {key: row.outcomes["answered"] for key, row in rows_of(counted).items()}
    assert found == {("s", "a"): 1, ("s", "b"): 1, OTHER: 3}


def test_calls_that_run_or_wait_are_told_although_none_has_ended() -> None:
    counted = CallMetrics({("s", "busy"): function(4, (1, 2)), ("s", "idle"): function(0, (0,))})
    found = rows_of(counted)
    assert list(found) == [("s", "busy")]
    assert (found["s", "busy"].running, found["s", "busy"].waiting) == (3, 4)


def test_fronts_and_the_warden_call_the_rest_by_the_same_names() -> None:
    assert (OTHER, UNKNOWN) == (server_totals.OTHER, server_totals.UNKNOWN)
