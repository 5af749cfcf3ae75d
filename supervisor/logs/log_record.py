"""One log record: a text that a function or the platform wrote, and where it comes from.

Only the platform decides all other fields; ``text`` is any string that a tenant can make.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

Stream = Literal["stdout", "stderr", "platform"]
Level = Literal["debug", "info", "warning", "error", "critical"]
# Each kind has a bound of its own, so that none pushes out another.  ``own``: what a function wrote.
# ``platform``: what its failed calls and its instances left.  ``reports``: of calls that did not fail.
RecordKind = Literal["own", "platform", "reports"]

STREAMS: tuple[Stream, ...] = ("stdout", "stderr", "platform")
# Lowest first: a minimum level is a slice of it.
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")
KINDS: tuple[RecordKind, ...] = ("own", "platform", "reports")
# How the text of a call's report begins.
REPORT = "report outcome="

NS_PER_SECOND = 1_000_000_000


class Record(NamedTuple):
    """``timestamp`` is ns since the epoch; ``call_id`` is "" where no single call can be named.

    The Writer sets ``writer`` and ``sequence``: in each process each function's records count from 1, and
    dropped records count too, so a jump is exactly the number of missing records.  ``is_failures`` marks a
    stack or a traceback of a failed call, which the function did not choose to write; it decides the kind of
    the record, and readers do not get it.
    """

    space: str
    name: str
    version: int
    instance: str
    call_id: str
    timestamp: int
    stream: Stream
    level: Level
    text: str
    writer: str = ""
    sequence: int = 0
    is_failures: bool = False

    @property
    def kind(self) -> RecordKind:
        """The kind that it is kept with."""
        if self.stream != "platform":
            return "platform" if self.is_failures else "own"
        return "reports" if self.is_quiet_report else "platform"

    @property
    def is_report(self) -> bool:
        """Whether it is the report of a call."""
        return self.stream == "platform" and self.text.startswith(REPORT)

    @property
    def is_quiet_report(self) -> bool:
        """Whether it reports a call that did not fail: readers get it only if they ask for reports."""
        return self.level == "info" and self.is_report

    def as_json(self) -> dict[str, str | int]:
        """What the API shows: the contract's fields, with the time as RFC 3339."""
        return {
            "name": self.name,
            "space": self.space,
            "version": self.version,
            "instance": self.instance,
            "call_id": self.call_id,
            "timestamp": rfc3339(self.timestamp),
            "stream": self.stream,
            "level": self.level,
            "text": self.text,
        }


def rfc3339(timestamp: int) -> str:
    """Ns since the epoch as UTC with all nine digits, so that texts sort as times do."""
    seconds, rest = divmod(timestamp, NS_PER_SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
