"""``cellblock top``, ``cellblock instances`` and ``cellblock renew``: the activity of a running server."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import refused
from supervisor.cli.parameters import Json, Space, Token, Url, connect
from supervisor.cli.rates import FunctionRate, rates

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

MIB = 1 << 20
# Lines of a live view beside the functions' rows: those above the table, its head, those below it.
LINES_BESIDES = 6
HOME_AND_CLEAR = "\x1b[H\x1b[J"

Everywhere = Annotated[bool, typer.Option("--all-spaces", "-A", help="Of every space.")]


def top(
    once: Annotated[bool, typer.Option("--once", help="One interval, then end.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.", metavar="SECONDS")
    ] = 2.0,
    as_json: Json = False,
    space: Space = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Watch the functions: calls a second, durations, queue, instances, memory, outcomes.

    Every space, unless --space names one.  Rates and durations are those of the last interval, outcomes
    other than an answer those since each front began.  With --json a line of JSON for each interval.

    Examples:

      cellblock top
      cellblock top --space demo --interval 5
      cellblock top --once --json
    """
    client = connect(url, token, space)
    where = client.in_space("activity") if space else client.url("activity")
    is_live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    before, then = _asked(client, where), time.monotonic()
    try:
        while True:
            time.sleep(interval)
            now, at = _asked(client, where), time.monotonic()
            found = rates(before["functions"], now["functions"], at - then)
            if as_json:
                _write_json_line(now, found, at - then)
            else:
                _write_view(now, found, is_live and not once)
            if once:
                return
            before, then = now, at
    except KeyboardInterrupt:
        return  # Ctrl-C is how one ends it


def instances(
    name: Annotated[str | None, typer.Argument(help="Only those of this function.")] = None,
    everywhere: Everywhere = False,
    as_json: Json = False,
    space: Space = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the instances of a space's functions.

    Examples:

      cellblock instances
      cellblock instances hello --json
      cellblock instances --all-spaces
    """
    client = connect(url, token, space)
    where = client.url("activity") if everywhere else client.in_space("activity")
    found = _asked(client, where)
    listed = [one for one in found["instances"] if name in (None, one.get("name"))]
    if as_json:
        output.write_json(listed)
        return
    columns = ("INSTANCE", "FUNCTION", "VERSION", "STATE", "AGE", "RUNNING", "CALLS", "MEMORY", "FRONT")
    rows = [
        (
            one.get("instance"), _full_name(one), one.get("version"), one.get("state"),
            output.as_text(int(_number(one.get("age_s")))) + " s", one.get("running"), one.get("calls"),
            _mib(one.get("memory_bytes")), one.get("front"),
        )
        for one in listed
    ]  # fmt: skip
    output.write_table(columns, rows, "there are no instances now")
    _write_gaps(found)


def renew(as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Replace the processes that instances are made from, while calls go on.

    Instances that are there stay as they are; new ones are copies of the new processes.

    Examples:

      cellblock renew
      cellblock renew --json
    """
    client = connect(url, token)
    answer = client.send("POST", client.url("zygotes", "renew"))
    if as_json:
        output.write_json(answer)
        return
    names = answer.get("runtimes") if isinstance(answer, dict) else None
    output.write_line(f"being replaced: {', '.join(map(output.as_text, names or ())) or 'none is running'}")


def _asked(client: Client, where: str) -> dict[str, Any]:
    found = client.get(where)
    for key in ("functions", "instances"):
        rows = found.get(key) if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise refused(f"the server's answer to {where} has no {key}: it is another version")
    checked: dict[str, Any] = found
    return checked


def _write_json_line(now: dict[str, Any], found: list[FunctionRate], seconds: float) -> None:
    line = {
        "seconds": round(seconds, 3),
        "functions": [one.as_json() for one in found],
        "cells": now.get("cells"),
        "fronts": now.get("fronts"),
        "missing": now.get("missing"),
        "left_out": now.get("left_out"),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _write_view(now: dict[str, Any], found: list[FunctionRate], is_live: bool) -> None:
    most = max(1, shutil.get_terminal_size().lines - LINES_BESIDES) if is_live else len(found)
    if is_live:
        sys.stdout.write(HOME_AND_CLEAR)
    cells = now.get("cells")
    known = sorted(cells.items()) if isinstance(cells, dict) else ()
    of_cells = ", ".join(f"{number} {state}" for state, number in known)
    total = sum(one.calls_per_s for one in found)
    output.write_line(
        f"{total:.1f} calls/s, {now.get('fronts')} fronts" + (of_cells and f"; cells: {of_cells}")
    )
    columns = ("FUNCTION", "VERSION", "CALLS/S", "P50", "P99", "RUNNING", "WAITING", "INSTANCES", "MEMORY",
               "BESIDES ANSWERED")  # fmt: skip
    rows = [
        (
            one.full_name, one.version, f"{one.calls_per_s:.1f}", _ms(one.p50_ms), _ms(one.p99_ms),
            one.running, one.waiting, one.instances, _mib(one.memory_bytes), one.besides_answered() or "-",
        )
        for one in found[:most]
    ]  # fmt: skip
    output.write_table(columns, rows, "no function has been called yet")
    if len(found) > most:
        output.write_line(f"and {len(found) - most} more")
    _write_gaps(now)
    sys.stdout.flush()


def _write_gaps(found: dict[str, Any]) -> None:
    """Say what the figures leave out."""
    if _number(found.get("missing")):
        output.fail_line(f"{found['missing']} fronts did not answer in time: theirs is not in it")
    if _number(found.get("left_out")):
        output.fail_line(f"{found['left_out']} rows were too many: name a space")


def _full_name(row: dict[str, Any]) -> str:
    return f"{output.as_text(row.get('space'))}/{output.as_text(row.get('name'))}"


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def _mib(value: object) -> str:
    return f"{_number(value) / MIB:.1f} MiB" if _number(value) else "-"
