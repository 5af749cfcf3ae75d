"""Each error that ends a call knows its answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.front.outcome.lost_calls import (
    CallFailed,
    CallLate,
    CallLost,
    CircuitOpen,
    StartFailed,
    StartLate,
)
from supervisor.front.outcome.outcomes import TABLE, Outcome
from supervisor.front.warden_link import DRAINED, Ending
from worker import wire

KNOWN = SimpleNamespace(call_id="call-1", timeout_s=2.0, is_known=True, memory_mib=64)
STRANGER = SimpleNamespace(call_id="call-1", timeout_s=2.0, is_known=False, memory_mib=64)
LATE = StartLate("handler.py:1 in <module>", 5.0)
RAISED_AT_IMPORT = ("ImportError", "no module named x", 1, "import x", "handler.py", 0, 0, 0)


def failed(stage: str) -> StartFailed:
    """A start that the cell itself says has failed."""
    return StartFailed(wire.Frame(wire.FAILED, 0, (stage, *RAISED_AT_IMPORT), (), b""), None)


def error_of(error: CallFailed, call: Any = KNOWN) -> dict[str, Any]:
    """The error in the envelope of its answer."""
    found: dict[str, Any] = json.loads(error.answer_to(call).body)["error"]
    return found


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (CallLate("handler.py:3 in f", False), 504, Outcome.TIMEOUT),
        (CallLate("handler.py:3 in f", True), 504, Outcome.BLOCKING),
        (CallLost(Ending("timeout", 9, 0, ""), True), 504, Outcome.TIMEOUT),
        (CallLost(Ending("timeout", 9, 0, ""), False), 503, Outcome.NEIGHBOUR),
        (CallLost(Ending("exited", 11, 0, ""), True), 502, Outcome.CRASHED),
        (CallLost(Ending("exited", 11, 0, ""), False), 503, Outcome.NEIGHBOUR),
        (CallLost(Ending("memory", 9, 0, "", 1 << 26), True), 502, Outcome.MEMORY),
        (CallLost(Ending("memory", 9, 0, "", 1 << 26), False), 502, Outcome.MEMORY),
        (CallLost(Ending("protocol", 0, 0, "a lie"), True), 502, Outcome.PROTOCOL),
        (CallLost(Ending(DRAINED, 9, 0, ""), True), 503, Outcome.UNAVAILABLE),
        (CallLost(Ending("breached", 9, 0, ""), True), 503, Outcome.BREACHED),
        (failed("import"), 500, Outcome.RAISED),
        (failed("entry"), 502, Outcome.CONTRACT),
        (StartFailed(None, Ending("exited", 0, 3, "")), 502, Outcome.CRASHED),
        (StartFailed(None, Ending("not started", 0, 0, "no pid")), 503, Outcome.NOT_STARTED),
        (StartFailed(None, None), 502, Outcome.CRASHED),
        (LATE, 504, Outcome.INIT),
        (CircuitOpen(5, 1.5, LATE), 503, Outcome.CIRCUIT),
    ],
)
def test_an_error_answers_with_a_status_of_its_outcome(
    error: CallFailed, status: int, outcome: Outcome
) -> None:
    answer = error.answer_to(KNOWN)
    assert (answer.status, answer.outcome) == (status, outcome)
    assert answer.status in TABLE[outcome].statuses
    assert json.loads(answer.body)["error"]["status"] == status


def test_a_timeout_names_the_limit_and_the_place() -> None:
    error = error_of(CallLate("handler.py:3 in f", False))
    assert "its limit is 2 s" in error["message"] and "handler.py:3 in f" in error["message"]
    assert error["details"] == {
        "reason": "timeout", "limit_s": 2.0, "where": "handler.py:3 in f", "call_id": "call-1",
    }  # fmt: skip


def test_a_lack_of_memory_names_limit_and_peak() -> None:
    error = error_of(CallLost(Ending("memory", 9, 0, "", 70 << 20), True))
    assert "its limit is 64 MiB" in error["message"] and "70 MiB at its peak" in error["message"]
    assert (error["details"]["limit_mib"], error["details"]["peak_bytes"]) == (64, 70 << 20)


def test_only_a_known_caller_learns_why_the_circuit_is_open() -> None:
    error = CircuitOpen(5, 1.5, failed("import"))
    assert "no module named x" in error_of(error)["message"]
    assert "no module named x" not in error_of(error, STRANGER)["message"]
    assert dict(error.answer_to(KNOWN).headers)[b"retry-after"] == b"2"


def test_why_there_is_no_instance_is_said_in_words() -> None:
    assert LATE.in_words() == "its import took longer than 5 s, at handler.py:1 in <module>"
    assert failed("import").in_words() == "ImportError at line 1: no module named x"
    assert "ran out of memory" in StartFailed(None, Ending("memory", 9, 0, "")).in_words()
