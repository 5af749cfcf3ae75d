"""Following logs: what is written behind a position, a poll at a time.

Followers of one function share one reading of it: a window of the latest records.  A follower that starts
further back, or falls behind the window, reads from the disk on its own until it has caught up.  That costs
no other follower any time.  It loses only records that retention deletes meanwhile, and counts them.

Nothing here waits and nothing is notified: the caller decides how often to poll.  The first poll in REFRESH_S
looks at a folder and a few files; any other poll that finds nothing new costs a comparison.

One thread at a time may use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from pathlib import Path

from supervisor.logs.catalogue import Catalogue
from supervisor.logs.log_record import Record
from supervisor.logs.reading.batch import Batch
from supervisor.logs.reading.cursor import Cursor, LastRead
from supervisor.logs.reading.merged_records import MergedRecords
from supervisor.logs.reading.query import Query, Selection

# The most records of one poll: some ms of work, so that followers take turns.
POLL_MAX_RECORDS = 500
# The most that one poll reads from disk, for the same reason.
POLL_MAX_BYTES = 1 << 20
# How often files are looked at: a fifth of the time that a follower may wait for a line.
REFRESH_S = 0.02
# A look at a space with very many functions takes a while: looks take at most this part of the time.
REFRESH_SHARE = 0.1
# About a tenth of a second of a flood, and its memory.
WINDOW_MAX_RECORDS = 8192
WINDOW_MAX_CHARS = 4 << 20
READ_AHEAD_RECORDS = 2048

# Space, name (None for the whole space), and whether reports are read.
Followed = tuple[str, str | None, bool]
EVERYTHING, PLAIN = Query(reports=True), Query()


class _Window:
    """The latest records of a function or a space, read once for all its followers."""

    def __init__(self, root: Path, followed: Followed, clock: Callable[[], float]) -> None:
        self._root = root
        self._followed = followed
        self._clock = clock
        self._merged = self.merged(None)
        self._everything = Selection(EVERYTHING)
        self._next_look = 0.0
        self._chars = 0
        # The last sequence of each writer before the first record of the window.
        self.before = {writer: last.sequence for writer, last in self._merged.cursor.last_read.items()}
        self.records: list[Record] = []
        self.first = 0  # the number of records[0], counted from the window's beginning
        self.followers = 0

    def merged(self, start: Cursor | None, since_ns: int = 0) -> MergedRecords:
        """Another reading of the same logs.  ValueError, OSError."""
        space, name, reports = self._followed
        kinds = Query(reports=reports).kinds
        return MergedRecords(Catalogue(self._root, space, name, kinds), start, since_ns)

    def refresh(self) -> None:
        """Look for new records if the last look was long enough ago.  OSError."""
        now = self._clock()
        if now < self._next_look:
            return
        batch = self._merged.advance(self._everything, READ_AHEAD_RECORDS)
        self.records += batch.records
        self._chars += sum(len(record.text) for record in batch.records)
        while self._chars > WINDOW_MAX_CHARS or len(self.records) > WINDOW_MAX_RECORDS:
            self._forget_half()
        after = self._clock()
        self._next_look = after if batch.more else after + max(REFRESH_S, (after - now) / REFRESH_SHARE)

    def _forget_half(self) -> None:
        count = (len(self.records) + 1) // 2
        for record in self.records[:count]:
            self.before[record.writer] = record.sequence
            self._chars -= len(record.text)
        del self.records[:count]
        self.first += count


class Follower:
    """One follower's position, and the records that it asked for."""

    def __init__(self, window: _Window, merged: MergedRecords, selection: Selection) -> None:
        self._window = window
        self._merged: MergedRecords | None = merged  # None: reads from the window
        self._selection = selection
        self._cursor = merged.cursor
        self._next = 0
        window.followers += 1

    @property
    def cursor(self) -> str:
        """Where to go on after the last poll, in this process or in another one."""
        return str(self._cursor)

    def poll(self, limit: int = POLL_MAX_RECORDS) -> Batch:
        """At most ``limit`` new records; ``more`` says to poll again at once.  OSError."""
        window = self._window
        window.refresh()
        if self._merged is None and self._next < window.first:
            self._merged = window.merged(self._cursor)
        if self._merged is None:
            return self._from_window(limit)
        batch = self._merged.advance(self._selection, limit, POLL_MAX_BYTES)
        self._cursor = batch.after
        if not batch.more:
            self._join(self._merged.on_disk)
        return batch

    def skip(self) -> int:
        """Go to the end; the number of records skipped, those that were asked for and others.  OSError."""
        last_read = self._cursor.last_read
        self._merged = self._window.merged(None)
        self._cursor = self._merged.cursor
        return sum(
            max(0, end.sequence - (last_read[writer].sequence if writer in last_read else 0))
            for writer, end in self._cursor.last_read.items()
        )

    def is_beside(self, other: Follower) -> bool:
        """Whether both are at the same place of the same window, so that one can read on for both."""
        return (
            self._window is other._window
            and self._merged is None
            and other._merged is None
            and self._next == other._next
        )

    def close(self) -> None:
        """Stop following: the window may go."""
        self._window.followers -= 1

    def _join(self, on_disk: Set[str]) -> None:
        """Go on from the window, if this follower has read all that the window has dropped."""
        window, last_read = self._window, dict(self._cursor.last_read)
        for writer, sequence in window.before.items():
            if writer not in last_read:
                last_read[writer] = LastRead(sequence, 0)  # deleted before we began
            elif writer in on_disk and last_read[writer].sequence < sequence:
                return
        strangers = {
            record.writer: LastRead(record.sequence, record.timestamp)
            for record in window.records
            if record.writer not in last_read
        }
        self._cursor = Cursor(self._cursor.floor_ns, last_read | strangers)
        self._merged = None
        self._next = window.first

    def _from_window(self, limit: int) -> Batch:
        window, before = self._window, self._cursor
        index = self._next - window.first
        if index == len(window.records):
            return Batch(before=before, after=before)
        last_read = dict(before.last_read)
        found: list[Record] = []
        gap = 0
        while index < len(window.records) and len(found) < limit:
            record = window.records[index]
            index += 1
            last = last_read[record.writer].sequence if record.writer in last_read else 0
            if record.sequence <= last:
                continue  # read from disk before this window was joined
            gap += record.sequence - last - 1
            last_read[record.writer] = LastRead(record.sequence, record.timestamp)
            if self._selection.fits(record):
                found.append(record)
        self._next = window.first + index
        self._cursor = Cursor(before.floor_ns, last_read)
        return Batch(found, gap, 0, index < len(window.records), before, self._cursor)


class Followers:
    """All followers of one process."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds; it decides when files are looked at again."""
        self._root = root
        self._clock = clock
        self._windows: dict[Followed, _Window] = {}

    def follow(
        self, space: str, name: str | None, query: Query = PLAIN, cursor: str | None = None
    ) -> Follower:
        """A follower of a function, or of a space where ``name`` is None; the caller closes it.

        It begins behind ``cursor``, else at ``query.since``, else now.  ValueError for impossible names, for
        a cursor that is none, and for a ``tail``: read that first and follow from its cursor.  OSError.
        """
        if query.tail is not None:
            raise ValueError("tail: read it first, then follow from its cursor")
        start = Cursor.parse(cursor) if cursor is not None else None
        if start is None and query.since is not None:
            start = Cursor()
        for left in [one for one, window in self._windows.items() if not window.followers]:
            del self._windows[left]
        followed = (space, name, query.reports)
        window = self._windows.get(followed)
        if window is None:
            window = self._windows[followed] = _Window(self._root, followed, self._clock)
        return Follower(window, window.merged(start, query.since or 0), Selection(query))
