"""Following: what is written from a position on, a poll at a time.

Followers of the same function share one reading of it, a window of the latest records.  One that starts
further back, or has fallen behind the window, reads from the disk for itself until it has caught up:
it costs its own time and nobody else's, and loses only what retention deletes meanwhile, counted.

Nothing here waits and nothing is notified: who polls decides how often.  A poll that finds nothing new
costs a comparison for all but the first in REFRESH_S, and that one a look at a folder and a few files.
Used by one thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from pathlib import Path

from supervisor.logs.catalogue import Catalogue
from supervisor.logs.log_record import Record
from supervisor.logs.reading.batch import Batch
from supervisor.logs.reading.cursor import Cursor, Had
from supervisor.logs.reading.merged_records import Trail
from supervisor.logs.reading.query import Query, Selection

# Records of one poll: some ms of work, so that followers take turns.
POLL_MAX_RECORDS = 500
# Of one reading from disk by one follower, for the same reason.
POLL_MAX_BYTES = 1 << 20
# A fifth of what a tailer may wait: how often files are looked at.
REFRESH_S = 0.02
# A look at a space with very many functions takes a while: no more than this part of the time.
REFRESH_SHARE = 0.1
# About a tenth of a second of a flood, and the memory that it takes.
WINDOW_MAX_RECORDS = 8192
WINDOW_MAX_CHARS = 4 << 20
READ_AHEAD_RECORDS = 2048

# Space, name, and whether reports are read.
Followed = tuple[str, str | None, bool]
EVERYTHING, PLAIN = Query(reports=True), Query()


class _Window:
    """The latest records of a function or a space, read once for all who follow it."""

    def __init__(self, root: Path, followed: Followed, clock: Callable[[], float]) -> None:
        self._root = root
        self._followed = followed
        self._clock = clock
        self._trail = self.trail(None)
        self._everything = Selection(EVERYTHING)
        self._next_look = 0.0
        self._chars = 0
        # What was had of each writer before the first record of the window.
        self.before: dict[str, int] = {one: had.sequence for one, had in self._trail.cursor.had.items()}
        self.records: list[Record] = []
        self.first = 0  # the number of records[0], counted from the window's beginning
        self.followers = 0

    def trail(self, start: Cursor | None, since_ns: int = 0) -> Trail:
        """A reading of its own, of the same.  ValueError, OSError."""
        space, name, reports = self._followed
        kinds = Query(reports=reports).kinds
        return Trail(Catalogue(self._root, space, name, kinds), start, since_ns)

    def refresh(self) -> None:
        """Look for new records, if the last look was long enough ago.  OSError."""
        now = self._clock()
        if now < self._next_look:
            return
        batch = self._trail.advance(self._everything, READ_AHEAD_RECORDS)
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
    """One reader's position, and what it wants to see."""

    def __init__(self, window: _Window, trail: Trail, selection: Selection) -> None:
        self._window = window
        self._trail: Trail | None = trail  # None: it reads from the window
        self._selection = selection
        self._cursor = trail.cursor
        self._next = 0
        window.followers += 1

    @property
    def cursor(self) -> str:
        """Where to go on after the last poll, in this process or another one."""
        return str(self._cursor)

    def poll(self, limit: int = POLL_MAX_RECORDS) -> Batch:
        """What is new, ``limit`` records at most; ``more`` says to poll again at once.  OSError."""
        window = self._window
        window.refresh()
        if self._trail is None and self._next < window.first:
            self._trail = window.trail(self._cursor)
        if self._trail is None:
            return self._from_window(limit)
        batch = self._trail.advance(self._selection, limit, POLL_MAX_BYTES)
        self._cursor = batch.after
        if not batch.more:
            self._join(self._trail.on_disk)
        return batch

    def skip(self) -> int:
        """Go to the end and leave out what lies between; how many records, fitting or not.  OSError."""
        had = self._cursor.had
        self._trail = self._window.trail(None)
        self._cursor = self._trail.cursor
        return sum(
            max(0, end.sequence - (had[writer].sequence if writer in had else 0))
            for writer, end in self._cursor.had.items()
        )

    def is_beside(self, other: Follower) -> bool:
        """Whether both read the same window and have had the same of it: one can read on for both."""
        return (
            self._window is other._window
            and self._trail is None
            and other._trail is None
            and self._next == other._next
        )

    def close(self) -> None:
        """Nobody polls it any more."""
        self._window.followers -= 1

    def _join(self, on_disk: Set[str]) -> None:
        """Go on from the window, if all that was read into it and is not in it any more was had."""
        window, had = self._window, dict(self._cursor.had)
        for writer, sequence in window.before.items():
            if writer not in had:
                had[writer] = Had(sequence, 0)  # deleted before we came
            elif writer in on_disk and had[writer].sequence < sequence:
                return
        strangers = {
            record.writer: Had(record.sequence, record.timestamp)
            for record in window.records
            if record.writer not in had
        }
        self._cursor = Cursor(self._cursor.floor_ns, had | strangers)
        self._trail = None
        self._next = window.first

    def _from_window(self, limit: int) -> Batch:
        window, before = self._window, self._cursor
        index = self._next - window.first
        if index == len(window.records):
            return Batch(before=before, after=before)
        had = dict(before.had)
        found: list[Record] = []
        gap = 0
        while index < len(window.records) and len(found) < limit:
            record = window.records[index]
            index += 1
            last = had[record.writer].sequence if record.writer in had else 0
            if record.sequence <= last:
                continue  # read from disk before this window was joined
            gap += record.sequence - last - 1
            had[record.writer] = Had(record.sequence, record.timestamp)
            if self._selection.fits(record):
                found.append(record)
        self._next = window.first + index
        self._cursor = Cursor(before.floor_ns, had)
        return Batch(found, gap, 0, index < len(window.records), before, self._cursor)


class Followers:
    """All followers of one process."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds and says when files are looked at again."""
        self._root = root
        self._clock = clock
        self._windows: dict[Followed, _Window] = {}

    def follow(
        self, space: str, name: str | None, query: Query = PLAIN, cursor: str | None = None
    ) -> Follower:
        """A follower of a function or (``name`` None) a space, to be closed by who asked.

        From behind ``cursor``, else from ``query.since``, else from now on.  ValueError for names, for a
        cursor, and for a ``tail``, which is read first and followed from the cursor it gives; OSError.
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
        return Follower(window, window.trail(start, query.since or 0), Selection(query))
