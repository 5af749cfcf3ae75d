"""The outcomes of calls: a closed set.  Pure.

Every call ends in exactly one of them.  Each has someone to blame, the statuses that a caller may see, and a
level and a word in the log; the word is the metric's label too.  docs/outcomes.md is written from here.  A
test fails as long as a reason of an error is missing in ``REASONS``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

# The metric that counts calls, by outcome.
METRIC = "cellblock_calls_total"


class Blame(enum.Enum):
    """Who can do something about it."""

    NOBODY = "nobody"
    AUTHOR = "the function's author"
    CALLER = "the caller"
    OPERATOR = "the operator: capacity"
    PLATFORM = "the platform"


class Outcome(enum.Enum):
    """The value is the word in logs, reports and metrics."""

    ANSWERED = "answered"
    RAISED = "raised"
    CONTRACT = "contract"
    TIMEOUT = "timeout"
    BLOCKING = "blocking"
    INIT = "init"
    MEMORY = "memory"
    CRASHED = "crashed"
    PROTOCOL = "protocol"
    CIRCUIT = "circuit"
    NEIGHBOUR = "neighbour"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    QUEUE = "queue"
    CONCURRENCY = "concurrency"
    QUOTA = "quota"
    CAPACITY = "capacity"
    BROKEN = "broken"
    BREACHED = "breached"
    NOT_STARTED = "not-started"
    UNAVAILABLE = "unavailable"
    FAULT = "fault"

    # Each is there once, and every call is counted by its outcome: enum's own hash is slower, in Python.
    __hash__ = object.__hash__


class Classification(NamedTuple):
    """``statuses`` are those that a caller may see; empty where it sees none or the function's own."""

    blame: Blame
    statuses: tuple[int, ...]
    level: str
    meaning: str


TABLE: dict[Outcome, Classification] = {
    Outcome.ANSWERED: Classification(
        Blame.NOBODY, (), "info", "the function answered, with any status of its own"
    ),
    Outcome.RAISED: Classification(
        Blame.AUTHOR, (500,), "error", "the handler, or its module's import, raised"
    ),
    Outcome.CONTRACT: Classification(
        Blame.AUTHOR, (502,), "error", "what the handler returned is no answer, or there is no handler"
    ),
    Outcome.TIMEOUT: Classification(Blame.AUTHOR, (504,), "error", "its time was up"),
    Outcome.BLOCKING: Classification(
        Blame.AUTHOR, (504,), "error", "a coroutine kept the event loop from a call whose time was up"
    ),
    Outcome.INIT: Classification(Blame.AUTHOR, (504,), "error", "the import of its module took too long"),
    Outcome.MEMORY: Classification(
        Blame.AUTHOR,
        (502,),
        "error",
        "its instance met its memory limit, and nobody caught that or only an end was left",
    ),
    Outcome.CRASHED: Classification(
        Blame.AUTHOR, (502,), "error", "its instance ended by itself or by a signal"
    ),
    Outcome.PROTOCOL: Classification(
        Blame.AUTHOR, (502,), "error", "its instance wrote what no answer of ours can be, and was ended"
    ),
    Outcome.CIRCUIT: Classification(
        Blame.AUTHOR, (503,), "warning", "its instances failed to start again and again: none was tried"
    ),
    Outcome.NEIGHBOUR: Classification(
        Blame.AUTHOR, (503,), "warning", "its instance was ended because of another call that ran on it"
    ),
    Outcome.CANCELLED: Classification(
        Blame.CALLER, (), "info", "the caller hung up before there was an answer"
    ),
    Outcome.REFUSED: Classification(
        Blame.CALLER,
        (400, 401, 403, 404, 405, 408, 413, 414, 422, 429, 431),
        "info",
        "the request cannot be a call",
    ),
    Outcome.QUEUE: Classification(
        Blame.OPERATOR, (429,), "warning", "too many calls of the function were waiting"
    ),
    Outcome.CONCURRENCY: Classification(
        Blame.OPERATOR, (429,), "warning", "all instances that the function may have stayed busy"
    ),
    Outcome.QUOTA: Classification(
        Blame.CALLER, (429,), "info", "a quota of the space was spent; nothing of the function has run"
    ),
    Outcome.CAPACITY: Classification(Blame.OPERATOR, (503,), "warning", "no instance was ready in time"),
    Outcome.BROKEN: Classification(
        Blame.PLATFORM, (503,), "error", "its code or its runtime is not to be found here"
    ),
    Outcome.BREACHED: Classification(
        Blame.PLATFORM, (503,), "critical", "the containment failed its own test: nothing is served"
    ),
    Outcome.NOT_STARTED: Classification(Blame.PLATFORM, (503,), "error", "a cell could not be made"),
    Outcome.UNAVAILABLE: Classification(
        Blame.PLATFORM, (503,), "warning", "the server ends, is overloaded, or the function is being replaced"
    ),
    Outcome.FAULT: Classification(Blame.PLATFORM, (500,), "critical", "our own mistake"),
}

# The outcome of each ``details.reason`` of the platform's errors.
REASONS: dict[str, Outcome] = {
    **{outcome.value: outcome for outcome in Outcome},
    "not started": Outcome.NOT_STARTED,
    "limit": Outcome.CONCURRENCY,
    "suspended": Outcome.REFUSED,
}
_FIRST_REFUSAL, _FIRST_FAULT = 400, 500


def outcome_of(status: int, details: Mapping[str, Any] | None) -> Outcome:
    """The outcome of a call that was answered with an error of the platform."""
    reason = (details or {}).get("reason")
    if reason is not None:
        return REASONS.get(reason, Outcome.FAULT)  # a test knows every reason in the code
    if _FIRST_REFUSAL <= status < _FIRST_FAULT:
        return Outcome.REFUSED
    return Outcome.UNAVAILABLE if status == 503 else Outcome.FAULT


def page_rows() -> list[str]:
    """The table of docs/outcomes.md."""
    rows = []
    for outcome, verdict in TABLE.items():
        statuses = ", ".join(map(str, verdict.statuses))
        seen = statuses or ("the function's own" if outcome is Outcome.ANSWERED else "none")
        rows.append(
            f"| `{outcome.value}` | {seen} | {verdict.blame.value} | {verdict.level} | {verdict.meaning} |"
        )
    return rows
