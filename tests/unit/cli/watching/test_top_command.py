"""What ``cellblock top`` writes into a pipe, whatever a server tells it."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.cli.watching.rates import rates
from supervisor.cli.watching.top_command import write_table

HOSTILE = "\x1b]0;owned\x07\u202e[red]"


def shown(functions: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    write_table({"fronts": 1, **more}, rates([], functions, 1.0))
    return capsys.readouterr().out


def test_no_name_of_a_tenant_reaches_the_terminal_as_more_than_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {"space": HOSTILE, "name": HOSTILE, "calls": {HOSTILE: 1}}

    text = shown([row], capsys, cells={HOSTILE: 1})

    assert "[red]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_an_answer_that_makes_no_sense_is_shown_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown([{"memory_bytes": "much", "durations": 3}], capsys, cells=[1, 2], missing="x")

    assert text.startswith("0.0 calls/s, 1 fronts\n")


def test_durations_and_memory_have_their_units(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"space": "s", "name": "f", "version": 3, "calls": {"answered": 5, "raised": 2}}
    row |= {"durations": {"1.5": 6, "200.25": 1}, "memory_bytes": 3 << 20, "waiting": 4}

    text = shown([row], capsys)

    for part in ("s/f", "1.50 ms", "200 ms", "3.0 MiB", "2 raised"):
        assert part in text
