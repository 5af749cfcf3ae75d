"""The outcomes of a call: a closed set, each classified, each documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.errors import PlatformError
from supervisor.front import warden_link
from supervisor.front.outcome.outcomes import REASONS, TABLE, Blame, Outcome, outcome_of, page_rows

REPOSITORY = Path(__file__).parents[4]
FRONT = REPOSITORY / "supervisor/front"
LEVELS = {"info", "warning", "error", "critical"}


def reasons_in_code() -> Iterator[tuple[str, str]]:
    """Every literal that stands under "reason" in a dictionary of the fronts."""
    for path in sorted(FRONT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    is_reason = isinstance(key, ast.Constant) and key.value == "reason"
                    if is_reason and isinstance(value, ast.Constant):
                        yield path.name, value.value


def test_every_outcome_is_classified() -> None:
    assert set(TABLE) == set(Outcome)
    for outcome, verdict in TABLE.items():
        assert verdict.level in LEVELS and verdict.meaning
        assert all(400 <= status <= 599 for status in verdict.statuses)
        assert (verdict.blame is Blame.NOBODY) == (outcome is Outcome.ANSWERED)


def test_every_reason_in_the_code_is_an_outcome() -> None:
    found = list(reasons_in_code())
    assert len(found) > 5
    assert {reason for _, reason in found} <= set(REASONS)


def test_every_word_of_the_warden_for_a_refusal_is_an_outcome() -> None:
    assert {"limit", "capacity", "broken", *warden_link.PLATFORM_CAUSES} <= set(REASONS)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (PlatformError(404, "x"), Outcome.REFUSED),
        (PlatformError(413, "x", {"max_request_bytes": 1}), Outcome.REFUSED),
        (PlatformError(429, "x", {"reason": "queue"}), Outcome.QUEUE),
        (PlatformError(503, "x"), Outcome.UNAVAILABLE),
        (PlatformError(503, "x", {"reason": "not started"}), Outcome.NOT_STARTED),
        (PlatformError(500, "x", {"call_id": "c"}), Outcome.FAULT),
        (PlatformError(504, "x", {"reason": "timeout"}), Outcome.TIMEOUT),
    ],
)
def test_an_error_stands_for_one_outcome(error: PlatformError, outcome: Outcome) -> None:
    assert outcome_of(error.status, error.details) is outcome
    assert error.status in TABLE[outcome].statuses


def test_a_reason_that_nobody_has_classified_is_our_mistake() -> None:
    assert outcome_of(502, {"reason": "new"}) is Outcome.FAULT


def test_the_page_has_every_outcome() -> None:
    lines = (REPOSITORY / "docs/outcomes.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| `")] == page_rows()
