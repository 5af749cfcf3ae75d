"""``cellblock top``: a screen that is drawn again and again, or one table, or JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.commands.resources import activity, gaps, require_space
from supervisor.cli.parameters import Json, Space, Token, Url, connect
from supervisor.cli.watching import top_view
from supervisor.cli.watching.rates import FunctionRate, rates
from supervisor.cli.watching.top_view import MIB, Choice, milliseconds

if TYPE_CHECKING:
    from supervisor.cli.watching.terminal_screen import Screen

Look = tuple[dict[str, Any], list[FunctionRate], float]


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
    """Watch the functions: calls a second, durations, queue, instances, memory, failures.

    Every space, unless --space names one.  Rates and durations are those of the last interval; FAILED counts
    calls that ended otherwise than by the function's answer, since each front began.

    On a terminal it goes on until q: c, p, w, m, f and n sort, i shows idle functions.  A pipe gets one
    table of all functions.  With --json a line of JSON for each interval.

    Examples:

      cellblock top
      cellblock top --space demo --interval 5
      cellblock top --once --json
    """
    client = connect(url, token, space)
    where = client.url("activity")
    if space:
        require_space(client)
        where = client.in_space("activity")
    looks = _Looks(lambda: activity(client, where))
    is_terminal = sys.stdout.isatty()
    is_live = is_terminal and os.environ.get("TERM", "dumb") != "dumb" and not once and not as_json
    try:
        if is_live:
            _watch(looks, interval)
            return
        while True:
            time.sleep(interval)
            now, found, seconds = looks.next()
            if as_json:
                _write_json_line(now, found, seconds)
            elif is_terminal:
                _write_lines(now, found)
            else:
                write_table(now, found)
            if once or not (is_terminal or as_json):
                return
    except KeyboardInterrupt:
        return  # Ctrl-C is how one ends it


class _Looks:
    """What a server does between one look and the next."""

    def __init__(self, ask: Callable[[], dict[str, Any]]) -> None:
        self._ask = ask
        self._before, self._then = ask(), time.monotonic()

    def next(self) -> Look:
        """What was answered, the rates since the last look, and how long ago that was."""
        now, at = self._ask(), time.monotonic()
        seconds = at - self._then
        found = rates(self._before["functions"], now["functions"], seconds)
        self._before, self._then = now, at
        return now, found, seconds


def _watch(looks: _Looks, interval: float) -> None:
    """Show look after look until the key that quits."""
    from supervisor.cli.watching.terminal_screen import Screen

    choice = Choice()
    now: dict[str, Any] = {}
    found: list[FunctionRate] = []
    with Screen().begun() as screen:
        next_look = time.monotonic() + min(interval, 0.5)  # the first figures come soon
        while True:
            for key in screen.keys(max(0.0, next_look - time.monotonic())):
                if key == top_view.QUIT_KEY:
                    return
                choice = choice.after(key)
            if time.monotonic() >= next_look:
                now, found, _ = looks.next()
                next_look = time.monotonic() + interval
            _draw(screen, now, found, choice)


def _draw(screen: Screen, now: Mapping[str, Any], found: list[FunctionRate], choice: Choice) -> None:
    columns, rows = screen.size()
    if now:
        screen.show(top_view.lines(now, found, choice, columns, rows, has_keys=screen.has_keys))


def _write_lines(now: Mapping[str, Any], found: list[FunctionRate]) -> None:
    columns = shutil.get_terminal_size().columns
    for line in top_view.lines(now, found, Choice(shows_idle=True), columns, None, has_keys=False):
        output.write_line(line)
    sys.stdout.flush()


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


def write_table(now: Mapping[str, Any], found: list[FunctionRate]) -> None:
    """Everything, uncut, for a pipe or a file."""
    output.write_line(top_view.summary(now, found))
    columns = ("FUNCTION", "VERSION", "CALLS/S", "P50", "P99", "RUNNING", "WAITING", "INSTANCES", "MEMORY",
               "BESIDES ANSWERED")  # fmt: skip
    rows = [
        (
            one.full_name, one.version, f"{one.calls_per_s:.1f}", _ms(one.p50_ms), _ms(one.p99_ms),
            one.running, one.waiting, one.instances, _mib(one.memory_bytes), one.besides_answered() or "-",
        )
        for one in found
    ]  # fmt: skip
    output.write_table(columns, rows, "no function has been called yet")
    for gap in gaps(now):
        output.fail_line(gap)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{milliseconds(value)} ms"


def _mib(value: int) -> str:
    return f"{value / MIB:.1f} MiB" if value else "-"
