"""Where a reader is: the last sequence it has had of each writer, as one opaque string.

``1.FLOOR.WRITER-SEQUENCE.WRITER-SEQUENCE…``, all hexadecimal.  A writer that is not named is read from
its first record later than FLOOR (ns; 0: from its beginning).  A string names the writers that were
active last, CURSOR_MAX_WRITERS of them; the floor is then the last time had of any other, so up to that
number a cursor is exact whatever the clocks do, and beyond it as exact as the clocks are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from supervisor.logs.layout import WRITER
from supervisor.logs.log_record import Record
from supervisor.logs.record_encoding import SEQUENCE_MAX, TIME_MAX

# Fronts × restarts within the retention of one function, and functions of a space at once; at 26
# characters each the string fits into any header.
CURSOR_MAX_WRITERS = 64
CURSOR_MAX_CHARS = 2048
_NUMBER = re.compile(r"0|[1-9a-f][0-9a-f]{0,15}")
_FORMAT = "1"


class Had(NamedTuple):
    """The last that was had of a writer: its sequence, and its time in ns."""

    sequence: int
    timestamp: int


@dataclass(frozen=True)
class Cursor:
    """A position in the records of a function, or of a space."""

    floor_ns: int = 0
    had: dict[str, Had] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that a string says.  ValueError, with what is wrong with it."""
        # From here on the bytes are hostile.
        if len(text) > CURSOR_MAX_CHARS:
            raise ValueError(f"cursor: it has {len(text)} characters, and {CURSOR_MAX_CHARS} is the most")
        form, *parts = text.split(".")
        if form != _FORMAT or not parts:
            raise ValueError("cursor: it was not given out by this server")
        if len(parts) - 1 > CURSOR_MAX_WRITERS:
            raise ValueError(f"cursor: it names more than {CURSOR_MAX_WRITERS} writers")
        floor = _number(parts[0], TIME_MAX)
        had: dict[str, Had] = {}
        for part in parts[1:]:
            writer, _, number = part.partition("-")
            if not WRITER.fullmatch(writer) or writer in had:
                raise ValueError("cursor: a writer in it is malformed or named twice")
            had[writer] = Had(_number(number, SEQUENCE_MAX), floor)
        return cls(floor, had)

    def __str__(self) -> str:
        had, floor = self.had, self.floor_ns
        if len(had) > CURSOR_MAX_WRITERS:
            by_time = sorted(had, key=lambda writer: had[writer].timestamp)
            left_out = by_time[:-CURSOR_MAX_WRITERS]
            floor = max(floor, had[left_out[-1]].timestamp)
            had = {writer: had[writer] for writer in by_time[-CURSOR_MAX_WRITERS:]}
        parts = (f"{writer}-{one.sequence:x}" for writer, one in had.items())
        return ".".join((_FORMAT, f"{floor:x}", *parts))

    def after(self, records: Iterable[Record]) -> Cursor:
        """The cursor once these, too, were had."""
        had = dict(self.had)
        for record in records:
            had[record.writer] = Had(record.sequence, record.timestamp)
        return Cursor(self.floor_ns, had)


def _number(text: str, most: int) -> int:
    number = int(text, 16) if _NUMBER.fullmatch(text) else -1
    if not 0 <= number <= most:
        raise ValueError("cursor: a number in it is malformed")
    return number
