"""Reading what is there: forwards from a time or a cursor, or the last so many.

Any process that may read the folder can, while others write.  Methods block; call them in a thread.
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
from supervisor.logs.reading.merged_records import PASSED_COST_SHIFT, Trail
from supervisor.logs.reading.query import Query, Selection
from supervisor.logs.record_encoding import decode
from supervisor.logs.segment_reader import backward, end_of, seek

# What one read looks at before it gives what it has, with a cursor to go on: a second or so where every
# line has to be taken apart, and far less where a needle lets it pass over blocks.
READ_MAX_BYTES = 256 << 20
# Of the texts of one tail, which is held in memory whole: 10,000 lines of usual length many times over.
TAIL_MAX_CHARS = 16 << 20


def read(root: Path, space: str, name: str | None, query: Query, cursor: str | None = None) -> Batch:
    """What fits the query, oldest first, of a function or (``name`` None) of a whole space.

    With ``tail`` the last so many; ``more`` then says that READ_MAX_BYTES were looked at, or TAIL_MAX_CHARS
    found, before that many were found.  The cursor is the end of what there was, from where a follower
    goes on without loss or repetition.  Without, the first ``limit`` behind the cursor; ``more`` says to go
    on from the batch's cursor with the same query.  ValueError for names, a cursor, or a tail with a
    cursor; OSError.
    """
    start = Cursor.parse(cursor) if cursor is not None else Cursor()
    catalogue = Catalogue(root, space, name, query.kinds)
    selection = Selection(query)
    if query.tail is None:
        return Trail(catalogue, start, query.since or 0).advance(selection, query.limit, READ_MAX_BYTES)
    if cursor is not None:
        raise ValueError("tail: it cannot be combined with a cursor")
    end = Trail(catalogue, None).cursor
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
    """The records that fit, latest first, as far as a bound of bytes goes."""

    def __init__(self, selection: Selection, catalogue: Catalogue) -> None:
        self.bytes_left = READ_MAX_BYTES
        self.bad = 0
        self._selection = selection
        self._segments = [segment for ones in catalogue.writers.values() for segment in ones]

    def records(self) -> Iterator[Record]:
        """Merged by time; a segment is opened once the merge has come to its last record."""
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
        """The offset from where to go backwards: behind all that is not later than ``until``."""
        until = self._selection.query.until
        if until is None:
            return segment.size
        latest_ns = until + DISORDER_NS
        return seek(segment.path, segment.size, lambda when, _: when <= latest_ns).offset
