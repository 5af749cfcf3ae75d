"""What ``cellblock top`` shows: it fits every terminal, sorts as it is told, and counts what it hides."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.cli.watching.rates import FunctionRate, rates
from supervisor.cli.watching.top_view import ORDERS, Choice, lines

LONG = "a-space-of-a-rather-long-name/and-a-function-of-a-name-that-is-longer-still"


def rate(name: str, **more: Any) -> FunctionRate:
    values: dict[str, Any] = {
        "version": 3, "calls_per_s": 1.0, "p50_ms": 1.5, "p99_ms": 12.0, "running": 0, "waiting": 0,
        "instances": 1, "memory_bytes": 30 << 20, "outcomes": {"answered": 5},
    }  # fmt: skip
    return FunctionRate(full_name=name, **(values | more))


def shown(
    found: list[FunctionRate], choice: Choice | None = None, columns: int = 80, rows: int = 24
) -> list[str]:
    return lines({"fronts": 2, "cells": {"idle": 4}}, found, choice or Choice(), columns, rows, has_keys=True)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 30), (200, 60), (40, 8), (20, 5)])
def test_it_fits_the_terminal_with_its_head_its_keys_and_what_it_hides(columns: int, rows: int) -> None:
    many = [rate(f"{LONG}-{number}", calls_per_s=10_000.0, memory_bytes=9000 << 20) for number in range(99)]
    found = shown(many, columns=columns, rows=rows)
    assert len(found) == rows
    assert max(map(len, found)) <= columns
    assert found[0].startswith("990000.0 calls/s"[:columns]) and found[1].startswith("FUNCTION")
    assert found[-2].startswith(f"{99 - (rows - 4)} more do not fit"[: columns - 1])
    assert found[-1].startswith("q quit")


def test_a_name_is_cut_and_not_folded_and_80_columns_hold_every_figure() -> None:
    (_, head, row, *_) = shown([rate(LONG, outcomes={"answered": 1, "raised": 123_456})])
    assert len(head) == len(row) == 80
    assert row.startswith("a-space-of-a-rather-") and "…" in row
    assert row.split()[1:] == ["3", "1.0", "1.50", "12", "0", "0", "1", "30", "123456"]
    assert head.split()[-1] == "FAILED"


def test_idle_functions_are_hidden_and_counted_until_the_key_shows_them() -> None:
    found = [rate("s/busy"), rate("s/idle", calls_per_s=0.0), rate("s/waits", calls_per_s=0.0, waiting=1)]
    hidden = shown(found)
    assert not any("s/idle" in line for line in hidden) and any("s/waits" in line for line in hidden)
    assert hidden[-2] == "1 idle hidden (i shows them)"
    all_of_them = shown(found, Choice().after("i"))
    assert any("s/idle" in line for line in all_of_them) and "hide idle" in all_of_them[-1]
    assert Choice().after("i").after("i") == Choice()


@pytest.mark.parametrize(
    ("key", "first"),
    [("c", "s/calls"), ("p", "s/slow"), ("w", "s/waits"), ("m", "s/large"), ("f", "s/bad"), ("n", "s/a")],
)
def test_each_key_sorts(key: str, first: str) -> None:
    found = [
        rate("s/a"), rate("s/calls", calls_per_s=9.0), rate("s/slow", p99_ms=900.0),
        rate("s/waits", waiting=3), rate("s/large", memory_bytes=1 << 40),
        rate("s/bad", outcomes={"raised": 7}),
    ]  # fmt: skip
    view = shown(found, Choice().after(key))
    assert view[2].split()[0] == first
    assert f"[{key} {ORDERS[key][0]}]" in view[-1] and len(view[-1]) <= 80


def test_a_key_that_means_nothing_changes_nothing() -> None:
    assert Choice().after("m").after("x").after("\n") == Choice().after("m")


def test_no_name_of_a_tenant_reaches_the_terminal_as_more_than_text() -> None:
    hostile = "\x1b]0;owned\x07"
    now = {"fronts": hostile, "cells": {hostile: hostile}, "missing": "x", "left_out": 3}
    found = lines(
        now,
        rates([], [{"space": hostile, "name": hostile, "running": 1}], 1.0),
        Choice(),
        200,
        24,
        has_keys=False,
    )
    assert "\x1b" not in "".join(found) and "\x07" not in "".join(found)
    assert found[-1] == "3 rows were too many: name a space"
