"""Reading the records that are there: forwards from a time or a cursor, or the last so many.

Any process that may read the folder can do so while others write.  ``read`` blocks; call it in a thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path

from supervisor.logs.catalogue import Catalogue
from supervisor.logs.layout import DISORDER_NS, Segment
from supervisor.logs.log_record import Record
from supervisor.logs.reading.batch import Batch
from supervisor.logs.reading.cursor import Cursor
from supervisor.logs.reading.merged_records import PASSED_COST_SHIFT, MergedRecords
from supervisor.logs.reading.query import Query, Selection
from supervisor.logs.record_encoding import decode
from supervisor.logs.segment_reader import backward, end_of, seek

# What one read looks at before it returns what it has found: about a second of work where every line has to
# be decoded, and far less where blocks without a needle are passed over.
READ_MAX_BYTES = 256 << 20
# The texts of one tail, which is held in memory: many times 10,000 lines of usual length.
TAIL_MAX_CHARS = 16 << 20


def read(root: Path, space: str, name: str | None, query: Query, cursor: str | None = None) -> Batch:
    """The records that fit the query, oldest first, of a function, or of a space where ``name`` is None.

    Without ``tail``: the first ``limit`` behind the cursor; ``more`` says to go on from the batch's cursor
    with the same query.  With ``tail``: the last so many; ``more`` says that READ_MAX_BYTES or TAIL_MAX_CHARS
    ended the search early.  The batch's cursor is then the end of the logs, from where a follower goes on
    without loss or repetition.

    ValueError for impossible names, a cursor that is none, or a tail with a cursor; OSError.
    """
    start = Cursor.parse(cursor) if cursor is not None else Cursor()
    catalogue = Catalogue(root, space, name, query.kinds)
    selection = Selection(query)
    if query.tail is None:
        merged = MergedRecords(catalogue, start, query.since or 0)
        return merged.advance(selection, query.limit, READ_MAX_BYTES)
    if cursor is not None:
        raise ValueError("tail: it cannot be combined with a cursor")
    end = MergedRecords(catalogue, None).cursor
    found: list[Record] = []
    search = _Backwards(selection, catalogue)
    chars_left = TAIL_MAX_CHARS
    for record in search.records():
        if len(found) == query.tail or chars_left <= 0:
            break
        found.append(record)
        chars_left -= len(record.text)
    found.reverse()
    is_short = (search.bytes_left <= 0 or chars_left <= 0) and len(found) < query.tail
    return Batch(found, 0, search.bad, is_short, end, end)


class _Backwards:
    """The records that fit, latest first, until READ_MAX_BYTES were looked at."""

    def __init__(self, selection: Selection, catalogue: Catalogue) -> None:
        self.bytes_left = READ_MAX_BYTES
        self.bad = 0
        self._selection = selection
        self._segments = [segment for ones in catalogue.writers.values() for segment in ones]

    def records(self) -> Iterator[Record]:
        """Merged by time; a segment is opened when the merge reaches its last record."""
        query = self._selection.query
        since_ns = (query.since or 0) - DISORDER_NS
        merged: list[tuple[int, int, Record | None, Iterator[Record]]] = []
        for number, segment in enumerate(self._segments):
            if query.until is not None and segment.first_ns > query.until + DISORDER_NS:
                continue
            end = end_of(segment.path, segment.size)
            if end.sequence and end.timestamp >= since_ns:
                merged.append((-end.timestamp, number, None, self._of(segment)))
        heapq.heapify(merged)
        while merged and self.bytes_left > 0:
            _, number, record, stream = merged[0]
            if record is not None:
                yield record
            following = next(stream, None)
            if following is None:
                heapq.heappop(merged)
            else:
                heapq.heapreplace(merged, (-following.timestamp, number, following, stream))

    def _of(self, segment: Segment) -> Iterator[Record]:
        query = self._selection.query
        since_ns = (query.since or 0) - DISORDER_NS
        at = self._end(segment)
        for behind, line in backward(segment.path, at, self._selection.needle):
            self.bytes_left -= ((at - behind) >> PASSED_COST_SHIFT) + len(line) + 1
            at = behind - len(line) - 1
            if self.bytes_left <= 0:
                return
            if self._selection.refuses(line):
                continue
            try:
                record = decode(line, segment.space, segment.name, segment.writer)
            except ValueError:
                self.bad += 1
                continue
            if record.timestamp < since_ns:
                return
            if self._selection.fits(record):
                yield record
        self.bytes_left -= at >> PASSED_COST_SHIFT

    def _end(self, segment: Segment) -> int:
        """The offset from where to read backwards: behind the last record not later than ``until``."""
        until = self._selection.query.until
        if until is None:
            return segment.size
        latest_ns = until + DISORDER_NS
        return seek(segment.path, segment.size, lambda when, _: when <= latest_ns).offset
