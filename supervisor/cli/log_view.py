"""Log entries on a terminal: local time, colour by level, and no escape sequence of a tenant's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TextIO

from supervisor.cli.output import safe

# Select Graphic Rendition of ECMA-48, which every terminal knows.
RESET = "\x1b[0m"
DIM = "\x1b[2m"
COLOURS = {"debug": DIM, "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
PLATFORM = "\x1b[36m"
LEVEL_CHARS = 8  # of "critical", the longest
STREAMS = ("platform", "stdout", "stderr")
STREAM_CHARS = 8  # of "platform", the longest
INDENT = "    "
NAME_MAX_CHARS = 128  # of a field that should be a name: a server may send anything


def wants_colour(out: TextIO | None = None) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR says otherwise (no-color.org)."""
    out = out or sys.stdout
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def entry_lines(entry: Mapping[str, Any], *, in_colour: bool, with_name: bool) -> str:
    """An entry as a line, its further lines indented below it.  From here on the bytes are hostile.

    The stream comes before all text that a function or its caller chose, so no text can pass for the
    platform's.
    """
    level, text = _name(entry, "level"), str(entry.get("text", ""))
    first, *others = text.removesuffix("\n").split("\n")
    call = _name(entry, "call_id") or "-"
    stream = _name(entry, "stream")
    if stream not in STREAMS:  # a newer server has others
        stream = "?"
    head = f"{local_time(_name(entry, 'timestamp'))} {stream:<{STREAM_CHARS}} {level:<{LEVEL_CHARS}} {call}"
    name = f"{_name(entry, 'name')}: " if with_name else ""
    lines = [name + safe(first, keep="\t"), *(INDENT + safe(line, keep="\t") for line in others)]
    body = "\n".join(lines)
    if not in_colour:
        return f"{head} {body}\n"
    colour = COLOURS.get(level) or (PLATFORM if entry.get("stream") == "platform" else "")
    return f"{DIM}{head}{RESET} {colour}{body}{RESET if colour else ''}\n"


def local_time(timestamp: str) -> str:
    """An RFC 3339 time in this machine's time zone, to the ms; any other text as it is.

    >>> local_time("never")
    'never'
    """
    try:
        # Python's datetime keeps six of the nine digits.
        return (
            datetime.fromisoformat(timestamp)
            .astimezone()
            .replace(tzinfo=None)
            .isoformat(" ", timespec="milliseconds")
        )
    except (ValueError, OverflowError):
        return timestamp


def _name(entry: Mapping[str, Any], field: str) -> str:
    return safe(str(entry.get(field, ""))[:NAME_MAX_CHARS])
