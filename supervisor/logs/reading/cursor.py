"""Where a reader is: the last sequence that it has read of each writer, as one opaque string.

``1.FLOOR.WRITER-SEQUENCE.WRITER-SEQUENCE…``, all hexadecimal.  A writer that is not named is read from its
first record later than FLOOR (ns; 0 means from its beginning).  A string names the CURSOR_MAX_WRITERS writers
that were active last; its floor is the latest time read of any other.  Up to that number of writers a cursor
is exact whatever the clocks do, and beyond it as exact as the clocks are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from supervisor.logs.layout import WRITER
from supervisor.logs.log_record import Record
from supervisor.logs.record_encoding import SEQUENCE_MAX, TIME_MAX

# Enough for the fronts times their restarts while the logs of one function are kept, and for the functions of
# a space at once.  At 26 characters each the string fits into any header.
CURSOR_MAX_WRITERS = 64
CURSOR_MAX_CHARS = 2048
_NUMBER = re.compile(r"0|[1-9a-f][0-9a-f]{0,15}")
_FORMAT = "1"


class LastRead(NamedTuple):
    """The last record that was read of a writer: its sequence, and its time in ns."""

    sequence: int
    timestamp: int


@dataclass(frozen=True)
class Cursor:
    """A position in the records of a function, or of a space."""

    floor_ns: int = 0
    last_read: dict[str, LastRead] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor of a string.  ValueError says what is wrong with it."""
        # From here on the bytes are hostile.
        if len(text) > CURSOR_MAX_CHARS:
            raise ValueError(f"cursor: it has {len(text)} characters, and {CURSOR_MAX_CHARS} is the most")
        form, *parts = text.split(".")
        if form != _FORMAT or not parts:
            raise ValueError("cursor: it was not given out by this server")
        if len(parts) - 1 > CURSOR_MAX_WRITERS:
            raise ValueError(f"cursor: it names more than {CURSOR_MAX_WRITERS} writers")
        floor = _number(parts[0], TIME_MAX)
        last_read: dict[str, LastRead] = {}
        for part in parts[1:]:
            writer, _, number = part.partition("-")
            if not WRITER.fullmatch(writer) or writer in last_read:
                raise ValueError("cursor: a writer in it is malformed or named twice")
            last_read[writer] = LastRead(_number(number, SEQUENCE_MAX), floor)
        return cls(floor, last_read)

    def __str__(self) -> str:
        last_read, floor = self.last_read, self.floor_ns
        if len(last_read) > CURSOR_MAX_WRITERS:
            by_time = sorted(last_read, key=lambda writer: last_read[writer].timestamp)
            left_out = by_time[:-CURSOR_MAX_WRITERS]
            floor = max(floor, last_read[left_out[-1]].timestamp)
            last_read = {writer: last_read[writer] for writer in by_time[-CURSOR_MAX_WRITERS:]}
        parts = (f"{writer}-{one.sequence:x}" for writer, one in last_read.items())
        return ".".join((_FORMAT, f"{floor:x}", *parts))

    def after(self, records: Iterable[Record]) -> Cursor:
        """The cursor behind these records."""
        last_read = dict(self.last_read)
        for record in records:
            last_read[record.writer] = LastRead(record.sequence, record.timestamp)
        return Cursor(self.floor_ns, last_read)


def _number(text: str, most: int) -> int:
    number = int(text, 16) if _NUMBER.fullmatch(text) else -1
    if not 0 <= number <= most:
        raise ValueError("cursor: a number in it is malformed")
    return number
