"""The sums of a server: over fronts, for so many functions, and never smaller than they were."""

from __future__ import annotations

from supervisor.link_records import CallsRow, NumberRow
from supervisor.warden.metrics import server_totals
from supervisor.warden.metrics.server_totals import FORGET_AFTER_S, OTHER, UNKNOWN, Now, ServerTotals
from worker.message_fields import INT_MOST


def calls(name: str, number: int = 1, code: str = "200", space: str = "s") -> CallsRow:
    buckets = [0, number, 0]
    return CallsRow(
        "calls", space, name, {"answered": number}, {code: number}, buckets, 0.5, buckets, 0.25, [], 0.0
    )  # fmt: skip


def shown(totals: ServerTotals) -> dict[tuple[str, str], int]:
    """What was counted, by the name that it is shown under."""
    rows = [row for row in totals.rows(Now()) if isinstance(row, CallsRow)]
    return {(row.space, row.name): row.outcomes.get("answered", 0) for row in rows}


def test_what_fronts_tell_is_added_up() -> None:
    totals = ServerTotals(10)
    for _ in range(3):
        totals.calls(calls("f", 2), 0.0)

    (row,) = [row for row in totals.rows(Now()) if isinstance(row, CallsRow) and row.name == "f"]

    assert (row.outcomes, row.codes) == ({"answered": 6}, {"200": 6})
    assert (row.durations, row.duration_s, row.queues, row.queue_s) == ([0, 6, 0], 1.5, [0, 6, 0], 0.75)


def test_functions_above_the_most_are_added_up_under_other() -> None:
    totals = ServerTotals(2)
    for name in ("a", "b", "c", "d", "a"):
        totals.calls(calls(name), 0.0)

    assert shown(totals) == {("s", "a"): 2, ("s", "b"): 1, OTHER: 2, UNKNOWN: 0}


def test_no_function_at_all_leaves_only_the_sum() -> None:
    totals = ServerTotals(0)
    totals.calls(calls("a"), 0.0)
    assert shown(totals) == {OTHER: 1, UNKNOWN: 0}


def test_a_function_that_nobody_calls_makes_way_and_its_calls_stay_in_the_sum() -> None:
    totals = ServerTotals(2)
    totals.calls(calls("old", 5), 0.0)
    totals.calls(calls("busy"), 0.0)
    totals.calls(calls("busy"), FORGET_AFTER_S)

    totals.calls(calls("new"), FORGET_AFTER_S)
    totals.calls(calls("newer"), FORGET_AFTER_S)

    assert shown(totals) == {("s", "busy"): 2, ("s", "new"): 1, OTHER: 6, UNKNOWN: 0}


def test_a_function_with_many_statuses_has_the_rest_under_other() -> None:
    totals = ServerTotals(1)
    for code in range(200, 600):
        totals.calls(calls("f", 1, str(code)), 0.0)

    (row,) = [row for row in totals.rows(Now()) if isinstance(row, CallsRow) and row.name == "f"]

    assert len(row.codes) == server_totals.WORDS_MOST + 1
    assert sum(row.codes.values()) == 400


def test_whatever_a_front_tells_the_sums_can_be_told_again() -> None:
    """A front may have been taken over: a number that no message can carry would end the asking front."""
    totals = ServerTotals(1)
    for _ in range(2):
        totals.calls(calls("f", INT_MOST), 0.0)
        totals.count("cellblock_store_errors_total", "", INT_MOST)
    moment = Now()
    moment.add(("s", "f"), INT_MOST, INT_MOST, 1, 1)
    moment.add(("s", "f"), INT_MOST, INT_MOST, 1, 1)

    for row in totals.rows(moment):
        if isinstance(row, CallsRow):
            numbers = [*row.outcomes.values(), *row.durations, row.running, row.waiting]
            assert max(numbers, default=0) <= INT_MOST
        else:
            assert row.value <= INT_MOST


def test_names_that_a_front_invents_are_bounded() -> None:
    totals = ServerTotals(1)
    totals.count("cellblock_cells_ended_total", server_totals.OTHER_WORD)
    for number in range(1000):
        totals.count("cellblock_cells_ended_total", f"cause-{number}")
        totals.count(f"invented-{number}")

    rows = [row for row in totals.rows(Now()) if isinstance(row, NumberRow)]

    assert len(rows) == server_totals.NUMBERS_MOST
    assert sum(row.value for row in rows if row.name == "cellblock_cells_ended_total") == 1001
