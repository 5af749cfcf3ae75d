"""One log record: what a function or the platform said, with whose word that is.

Everything but ``text`` is the platform's word; ``text`` is any string that a tenant could make.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

Stream = Literal["stdout", "stderr", "platform"]
Level = Literal["debug", "info", "warning", "error", "critical"]
# What is kept together, each kind with a bound of its own, so that none pushes another out: what a function
# wrote; what its failed calls and its instances left; reports of calls that did not fail.
RecordKind = Literal["own", "platform", "reports"]

STREAMS: tuple[Stream, ...] = ("stdout", "stderr", "platform")
# Least first: a minimum level is a slice of it.
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")
KINDS: tuple[RecordKind, ...] = ("own", "platform", "reports")
# How the text of a call's report begins.
REPORT = "report outcome="

NS_PER_SECOND = 1_000_000_000


class Record(NamedTuple):
    """``timestamp`` is ns since the epoch; ``call_id`` is "" where no single call can be named.

    ``writer`` and ``sequence`` are the store's: each function's records in each process count from 1,
    and what was dropped counts too, so a jump is exactly what is missing.  Who appends leaves them out.
    ``is_failures``: a stack or a traceback that a failed call left, and not what its function chose to write;
    it decides where a record is kept, and who reads is not told.
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
        """What it is kept with."""
        if self.stream != "platform":
            return "platform" if self.is_failures else "own"
        return "reports" if self.is_quiet_report else "platform"

    @property
    def is_report(self) -> bool:
        """Whether it is the report of a call."""
        return self.stream == "platform" and self.text.startswith(REPORT)

    @property
    def is_quiet_report(self) -> bool:
        """Whether it is that of a call that did not fail, which who reads has to ask for."""
        return self.level == "info" and self.is_report

    def as_json(self) -> dict[str, str | int]:
        """What an API shows: the contract's fields, with the time as RFC 3339."""
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
    """Ns since the epoch as UTC with all nine digits, which sorts as it counts."""
    seconds, rest = divmod(timestamp, NS_PER_SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
