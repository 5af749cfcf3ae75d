"""Reports on their way to the log: a batch at a time, and what finds no room is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from supervisor.front.outcome import reports as module
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import Report, Reports


def report(number: int) -> Report:
    whose = ("space", "name", 1, "instance", f"call-{number}")
    return Report(0.0, *whose, Outcome.ANSWERED, 200, 0.1, 0.0, 0.0, 0.1, 0.1, 0, "")


def test_what_finds_no_room_is_counted_and_said_also_where_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PENDING_MOST", 3)
    kept: list[Report] = []

    async def scenario() -> None:
        def keep(batch: Sequence[Report]) -> None:
            kept.extend(batch)

        reports = Reports(False, keep=keep)
        for number in range(5):
            reports.take(report(number))
        reports.flush()
        reports.take(report(5))
        reports.flush()

    asyncio.run(scenario())
    assert [one.call_id for one in kept] == ["call-0", "call-1", "call-2", "call-5"]
    assert [line for line in caplog.messages if "2 reports were dropped" in line] != []
    assert len(caplog.messages) == 1
