"""The records of one function and one kind that wait for the disk in this process; bounded.

Pure bookkeeping: it numbers records, encodes them, and counts the dropped ones.  After a first drop it drops
all records until half of the room is free again; then one platform record in their place says how many were
dropped.  Otherwise a flood at the bound would make a gap for every line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisor.logs.layout import DISORDER_NS, new_writer
from supervisor.logs.log_record import Record, RecordKind
from supervisor.logs.record_encoding import LINE_MAX_BYTES, encode, encode_report

# Of one function: some 25,000 lines of usual length, so that one flood does not fill the whole buffer.
BACKLOG_MAX_BYTES = 4 << 20
# One write: large enough that the system call costs little per line, small enough to be quick.
CHUNK_BYTES = 256 * 1024
_GAP_TEXT = "{} log records were dropped: they could not be written to the server's disk in time"


@dataclass(eq=False, repr=False)
class Chunk:
    """Lines that are written together; ``oldest_ns`` and ``newest_ns`` bound their times."""

    oldest_ns: int
    newest_ns: int
    size: int = 0
    lines: list[bytes] = field(default_factory=list)


class Backlog:
    """The waiting lines of one function and kind; used under the lock of their Writer."""

    def __init__(self, space: str, name: str, kind: RecordKind = "own") -> None:
        self.space = space
        self.name = name
        self.kind = kind
        self.writer = new_writer()
        self.chunks: deque[Chunk] = deque()
        self.bytes = 0
        self.unsaid = 0  # dropped since the last gap record
        self.dropped = 0  # dropped ever
        self._next = 1
        self._last_dropped: Record | None = None

    def add(self, records: Sequence[Record], room_bytes: int) -> int:
        """Take the records that fit into ``room_bytes`` and BACKLOG_MAX_BYTES; the bytes taken."""
        before = self.bytes
        self.say_gap(room_bytes)
        room = min(room_bytes + before, BACKLOG_MAX_BYTES)
        for record in records:
            sequence = self._next
            self._next += 1
            if not self.unsaid:
                try:
                    line = encode(record, sequence)
                except ValueError:  # no front makes such a record; its sequence stays missing
                    self.dropped += 1
                    continue
                if self.bytes + len(line) <= room:
                    self._push(line, record.timestamp)
                    continue
            self.unsaid += 1
            self.dropped += 1
            self._last_dropped = record
        return self.bytes - before

    def add_reports(self, reports: Sequence[tuple[int, bytes]], room_bytes: int) -> int:
        """Like ``add``, for reports that are encoded but for time and sequence: (time, the rest)."""
        before = self.bytes
        self.say_gap(room_bytes)
        room = min(room_bytes + before, BACKLOG_MAX_BYTES)
        for timestamp, rest in reports:
            if not self.unsaid:
                line = encode_report(timestamp, self._next, rest)
                if self.bytes + len(line) <= room:
                    self._next += 1
                    self._push(line, timestamp)
                    continue
                self._last_dropped = Record(
                    self.space, self.name, 0, "", "", timestamp, "platform", "info", ""
                )
            self._next += 1
            self.unsaid += 1
            self.dropped += 1
        return self.bytes - before

    def say_gap(self, room_bytes: int) -> int:
        """Add the gap record, if there is a gap and room for it; the bytes taken."""
        last = self._last_dropped
        if not self.unsaid or last is None:
            return 0
        if self.bytes > BACKLOG_MAX_BYTES // 2 or room_bytes < LINE_MAX_BYTES:
            return 0
        text = _GAP_TEXT.format(self.unsaid)
        gap = Record(
            self.space, self.name, last.version, last.instance, "",
            last.timestamp, "platform", "warning", text,
        )  # fmt: skip
        line = encode(gap, self._next)
        self._next += 1
        self.unsaid = 0
        self._last_dropped = None
        self._push(line, last.timestamp)
        return len(line)

    def take(self) -> deque[Chunk]:
        """All that waits; its bytes count until ``put_back`` says how many were written."""
        taken, self.chunks = self.chunks, deque()
        return taken

    def put_back(self, rest: deque[Chunk], written: int) -> None:
        """After a write: ``written`` bytes are on disk, and ``rest`` waits again."""
        self.bytes -= written
        self.chunks.extendleft(reversed(rest))

    def _push(self, line: bytes, timestamp: int) -> None:
        chunk = self.chunks[-1] if self.chunks else None
        # A clock that was set back begins another chunk, and with it another segment.
        if chunk is None or chunk.size > CHUNK_BYTES or timestamp < chunk.newest_ns - DISORDER_NS:
            chunk = Chunk(timestamp, timestamp)
            self.chunks.append(chunk)
        if timestamp > chunk.newest_ns:
            chunk.newest_ns = timestamp
        elif timestamp < chunk.oldest_ns:
            chunk.oldest_ns = timestamp
        chunk.size += len(line)
        chunk.lines.append(line)
        self.bytes += len(line)
