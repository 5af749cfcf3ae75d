"""``cellblock usage``: what spaces used, for people and for billing."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import usage as wrong_usage
from supervisor.cli.commands.resources import all_pages
from supervisor.cli.parameters import Json, Space, Token, Url, connect

# The columns of the CSV.  Programs read them: a new one comes last, and none goes.
COLUMNS = (
    "day", "space", "function", "calls", "calls_answered", "cpu_seconds", "memory_mib_seconds", "bytes_in",
    "bytes_out", "bytes_stored", "bytes_logged",
)  # fmt: skip
# A spreadsheet takes a cell that begins with one of them for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def usage(
    first: Annotated[
        str | None, typer.Option("--from", help="The first day, UTC; else 31 days.", metavar="DAY")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="The last day, UTC; else today.", metavar="DAY")
    ] = None,
    function: Annotated[str | None, typer.Option("--function", "-f", help="Only this function.")] = None,
    everywhere: Annotated[bool, typer.Option("--all-spaces", "-A", help="Of every space.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for billing.")] = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show what a space used, by day and function; the last seconds come later.

    Examples:

      cellblock usage --space acme
      cellblock usage --all-spaces --from 2026-11-01 --to 2026-11-30 --csv
    """
    if as_csv and as_json:
        raise wrong_usage("cannot print both: choose --csv or --json")
    client = connect(url, token, space)
    where = client.url("usage") if everywhere else client.in_space("usage")
    query = {"from": first, "to": last, "function": function, "limit": "1000"}
    given = {name: value for name, value in query.items() if value is not None}
    found = all_pages(client, where, given)
    if as_json:
        output.write_json(found)
        return
    rows = [_row(day) for day in found]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_harmless(cell) for cell in row] for row in rows)
        return
    whose = "of any space" if everywhere else f"of space {client.target.space}"
    output.write_table([name.upper() for name in COLUMNS], rows, f"no usage {whose} in these days")


def _row(day: dict[str, Any]) -> Sequence[object]:
    calls = day.get("calls")
    outcomes = calls if isinstance(calls, dict) else {}
    counted = {
        "calls": sum(number for number in outcomes.values() if isinstance(number, int)),
        "calls_answered": outcomes.get("answered", 0),
        "cpu_seconds": _decimal(day.get("cpu_seconds")),
        "memory_mib_seconds": _decimal(day.get("memory_mib_seconds")),
    }
    return [counted.get(name, day.get(name)) for name in COLUMNS]


def _decimal(value: object) -> str:
    """Six places and never an exponent, which not every reader of CSV takes."""
    return f"{value:.6f}" if isinstance(value, int | float) else "-"


def _harmless(cell: object) -> str:
    text = output.safe(output.as_text(cell))
    return f"'{text}" if text.startswith(FORMULAS) else text
