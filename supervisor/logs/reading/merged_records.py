"""Reading forwards from a position: the records of all writers, merged by time, a batch at a time.

The position keeps the last sequence read of each writer.  So no record is lost or read twice, whatever
happens to the files meanwhile; a sequence that jumps is a counted gap.  Between two batches no file is open
and no record is buffered.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Set
from dataclasses import dataclass
from pathlib import Path

from supervisor.logs.catalogue import Catalogue
from supervisor.logs.layout import DISORDER_NS, Segment
from supervisor.logs.log_record import Record
from supervisor.logs.reading.batch import Batch
from supervisor.logs.reading.cursor import Cursor, LastRead
from supervisor.logs.reading.query import Selection
from supervisor.logs.record_encoding import decode
from supervisor.logs.segment_reader import BLOCK_BYTES, end_of, forward, seek

# What one batch looks at: about 0.1 s of work where every line has to be decoded.
SCAN_MAX_BYTES = 8 << 20
# The blocks of all merged writers together; each writer gets an equal part, but at least BLOCK_LEAST_BYTES.
MERGE_BYTES = 16 << 20
BLOCK_LEAST_BYTES = 4096
# A byte of a block without the needle costs so much less than one of a decoded line (two to this power).
PASSED_COST_SHIFT = 4
# Positions kept for writers whose records were all deleted: should one write again, its gap is counted.
GONE_KEPT = 1024

_Stream = Generator[Record, None, None]


@dataclass(eq=False, repr=False)
class _Position:
    """Where one writer's reading is.

    ``offset`` is behind the last line read in ``path``; records at or before ``floor_ns`` are left out.
    """

    sequence: int
    timestamp: int = 0
    path: Path | None = None
    offset: int = 0
    floor_ns: int = -1


@dataclass(eq=False, repr=False)
class _Tally:
    """The bytes that one batch may still look at, and what it has found wrong."""

    bytes_left: int
    gap: int = 0
    bad: int = 0


class MergedRecords:
    """The records of a function or a space from a position on, merged by time."""

    def __init__(self, catalogue: Catalogue, start: Cursor | None, since_ns: int = 0) -> None:
        """Begin behind ``start`` and not before ``since_ns``; ``start`` None means now.  OSError."""
        self._catalogue = catalogue
        self._positions: dict[str, _Position] = {}
        self._floor_ns = start.floor_ns if start is not None else 0
        self._is_exhausted = False
        if start is not None:
            # A writer without a record left may write again: what was deleted is then a gap.
            for writer, last in start.last_read.items():
                self._positions[writer] = _Position(last.sequence, last.timestamp)
        catalogue.refresh()
        for writer, segments in catalogue.writers.items():
            if start is None:
                self._positions[writer] = _at_end(segments)
            elif writer in start.last_read:
                self._positions[writer] = _behind(segments, *start.last_read[writer])
            else:
                floor_ns = max(start.floor_ns or -1, since_ns - 1)
                self._positions[writer] = _later_than(segments, floor_ns)

    @property
    def on_disk(self) -> Set[str]:
        """The writers that had a segment at the last look."""
        return self._catalogue.writers.keys()

    @property
    def cursor(self) -> Cursor:
        """The position, as of the last batch."""
        return Cursor(
            self._floor_ns,
            {writer: LastRead(one.sequence, one.timestamp) for writer, one in self._positions.items()},
        )

    def advance(self, selection: Selection, limit: int, scan_bytes: int = SCAN_MAX_BYTES) -> Batch:
        """At most ``limit`` next records that fit, by time; a writer's own order is kept."""
        is_new = self._catalogue.refresh()
        if self._is_exhausted and not is_new:
            return Batch(before=(at := self.cursor), after=at)
        before = self.cursor
        tally = _Tally(scan_bytes)
        streams = self._streams(selection, tally)
        records: list[Record] = []
        merged: list[tuple[int, str, Record, _Stream]] = []
        for writer, stream in streams:
            for record in stream:
                merged.append((record.timestamp, writer, record, stream))
                break
        heapq.heapify(merged)
        while merged and len(records) < limit and tally.bytes_left > 0:
            _, writer, record, stream = merged[0]
            records.append(record)
            try:
                following = next(stream, None)  # only now is the record's line counted as read
            except OSError:
                break  # give what was found; the next batch raises it again
            if following is None:
                heapq.heappop(merged)
            else:
                heapq.heapreplace(merged, (following.timestamp, writer, following, stream))
        for _, _, _, stream in merged:
            stream.close()
        more = bool(merged) or tally.bytes_left <= 0
        self._is_exhausted = not more
        return Batch(records, tally.gap, tally.bad, more, before, self.cursor)

    def _streams(self, selection: Selection, tally: _Tally) -> list[tuple[str, _Stream]]:
        """An iterator for each writer that has something behind its position."""
        writers = self._catalogue.writers
        if len(self._positions) > len(writers) + GONE_KEPT:
            self._positions = {one: self._positions[one] for one in self._positions if one in writers}
        found = []
        for writer, segments in writers.items():
            # A new writer counts from 1: what it has lost already is a gap.
            position = self._positions.setdefault(writer, _Position(0))
            if position.path != segments[-1].path or position.offset < segments[-1].size:
                found.append((writer, segments, position))
        size = max(BLOCK_LEAST_BYTES, min(BLOCK_BYTES, MERGE_BYTES // max(1, len(found))))
        return [
            (writer, _following(segments, position, selection, tally, size))
            for writer, segments, position in found
        ]


def _following(
    segments: list[Segment], position: _Position, selection: Selection, tally: _Tally, block_bytes: int
) -> _Stream:
    """One writer's records that fit.  The position moves behind a record when the next one is asked for."""
    until = selection.query.until
    latest_ns = until + DISORDER_NS if until is not None else None
    for segment in _from(segments, position):
        if latest_ns is not None and segment.first_ns > latest_ns:
            continue
        if position.path != segment.path:
            position.path, position.offset = segment.path, 0
        lines = forward(segment.path, position.offset, segment.size, selection.needle, block_bytes)
        for behind, line, passed in lines:
            if tally.bytes_left <= 0:
                return
            tally.bytes_left -= (behind - position.offset) >> (PASSED_COST_SHIFT if passed else 0)
            if passed or selection.refuses(line):
                # Not decoded: it counts as the next sequence until a later line says otherwise.
                position.sequence += passed or 1
                position.offset = behind
                continue
            try:
                record = decode(line, segment.space, segment.name, segment.writer)
            except ValueError:
                tally.bad += 1
                position.offset = behind
                continue
            if latest_ns is not None and record.timestamp > latest_ns:
                break
            if selection.fits(record) and record.timestamp > position.floor_ns:
                yield record
            tally.gap += max(0, record.sequence - position.sequence - 1)
            position.sequence = max(position.sequence, record.sequence)
            position.timestamp = record.timestamp
            position.offset = behind


def _from(segments: list[Segment], position: _Position) -> list[Segment]:
    """The segments that may hold records behind the position; sets the position in the first of them."""
    for index, segment in enumerate(segments):
        if segment.path == position.path:
            return segments[index:]
    # Its segment is gone, or there was none yet.
    index = _holder(segments, position.sequence)
    if segments[index].first_sequence <= position.sequence:
        found = _behind(segments, position.sequence, position.timestamp)
        position.path, position.offset = found.path, found.offset
    return segments[index:]


def _holder(segments: list[Segment], sequence: int) -> int:
    """The index of the segment that would hold the record behind ``sequence``."""
    index = 0
    for number, segment in enumerate(segments):
        if segment.first_sequence <= sequence + 1:
            index = number
    return index


def _at_end(segments: list[Segment]) -> _Position:
    for segment in reversed(segments):
        end = end_of(segment.path, segment.size)
        if end.sequence:
            last = segments[-1]
            offset = end.offset if segment is last else 0
            return _Position(end.sequence, end.timestamp, last.path, offset)
    return _Position(segments[0].first_sequence - 1)


def _behind(segments: list[Segment], sequence: int, timestamp: int) -> _Position:
    """Behind the record with this sequence, or behind the place where it was."""
    segment = segments[_holder(segments, sequence)]
    end = seek(segment.path, segment.size, lambda _, found: found <= sequence)
    return _Position(sequence, end.timestamp or timestamp, segment.path, end.offset)


def _later_than(segments: list[Segment], floor_ns: int) -> _Position:
    """Before the first record later than ``floor_ns``; at the end where there is none."""
    least_ns = floor_ns - DISORDER_NS
    for segment in segments:
        if least_ns > 0 and end_of(segment.path, segment.size).timestamp <= least_ns:
            continue
        if segment.first_ns > least_ns:
            return _Position(segment.first_sequence - 1, 0, segment.path, 0, floor_ns)
        end = seek(segment.path, segment.size, lambda when, _: when <= least_ns)
        before = end.sequence or segment.first_sequence - 1
        return _Position(before, end.timestamp, segment.path, end.offset, floor_ns)
    return _at_end(segments)
