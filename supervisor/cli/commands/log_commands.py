"""``cellblock logs``: what functions wrote, and with ``-f`` what they go on to write."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from supervisor.cli import output
from supervisor.cli.client.log_feed import Feed, LogEvent
from supervisor.cli.command_errors import INTERRUPTED
from supervisor.cli.log_view import entry_lines, wants_colour
from supervisor.cli.parameters import Json, Space, Token, Url, connect


class LogLevel(StrEnum):
    """The least level that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogSource(StrEnum):
    """Where an entry came from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    PLATFORM = "platform"


Until = Annotated[str | None, typer.Option("--until", help="Not after, as --since.", metavar="TIME")]
Reports = Annotated[bool, typer.Option("--reports", help="With the reports of calls that did not fail.")]


def logs(
    name: Annotated[
        str | None,
        typer.Argument(
            help="The function; all of the space if left out.", metavar="NAME", show_default=False
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
    tail: Annotated[
        int | None,
        typer.Option("--tail", "-n", help="The last so many; 100 without --since.", min=0, metavar="N"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Not before: 10m, 2d, or 2026-01-31T12:00:00Z.", metavar="TIME"),
    ] = None,
    until: Until = None,
    level: Annotated[LogLevel | None, typer.Option("--level", "-l", help="This level at least.")] = None,
    call: Annotated[str | None, typer.Option("--call", help="Of this call only.", metavar="ID")] = None,
    stream: Annotated[LogSource | None, typer.Option("--stream", help="Of this stream only.")] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="Of this instance only.", metavar="ID")
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", "-g", help="With this in the text.", metavar="TEXT")
    ] = None,
    reports: Reports = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print what functions wrote, in local time; with -f, go on until Ctrl-C.

    A line has the time, the stream or "platform", the level, the call and
    the text.  Further lines of an entry, a traceback's, are indented.  Control characters in a
    text are shown as escapes.  --json prints an object a line.

    A connection that breaks is made again, from the last entry.

    Examples:

      cellblock logs hello
      cellblock logs hello -f --level warning
      cellblock logs hello --since 10m --grep Traceback
      cellblock logs --call 3f81ec44c9782cdf-00000003 --reports --json
    """
    asked = {
        "tail": None if tail is None else str(tail), "since": since, "until": until,
        "level": level.value if level else None, "call_id": call,
        "stream": stream.value if stream else None, "instance": instance, "q": grep,
        "reports": "true" if reports else None,
    }  # fmt: skip
    client = connect(url, token, space)
    address = client.in_space(*(("functions", name) if name is not None else ()), "logs")
    feed = Feed(client, address, asked, on_broken=_say_broken)
    try:
        _print(feed.follow() if follow else feed.read(), as_json, with_name=name is None)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _say_broken() -> None:
    sys.stdout.flush()
    output.fail_line("the connection broke; it is made again, and goes on behind the last entry")


def _print(events: Iterable[LogEvent], as_json: bool, *, with_name: bool) -> None:
    in_colour = wants_colour()
    for event in events:
        if as_json:
            # In ASCII, so it is safe on a terminal too.
            value = {"event": event.kind, **event.data} if event.kind else event.data
            sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
        elif not event.kind:
            sys.stdout.write(entry_lines(event.data, in_colour=in_colour, with_name=with_name))
        else:
            sys.stdout.flush()
            output.fail_line(_said(event))
        sys.stdout.flush()


def _said(event: LogEvent) -> str:
    """An event that is no entry, as a sentence."""
    if event.kind == "gap":
        why = {
            "slow": "this command did not read them in time",
            "lost": "they were deleted, damaged or dropped before they could be read",
        }.get(str(event.data.get("reason")), "the server does not say why")
        return f"{event.data.get('count')} entries are missing here: {why}"
    if event.kind == "short":
        return "not all could be looked at: there may be more before these; name a --since"
    if event.kind == "end":
        return "the function was deleted"
    return f"the server says {event.kind}, which this version does not know"
