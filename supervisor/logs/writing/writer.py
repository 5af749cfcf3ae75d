"""Appending to the logs from one process: a bounded buffer, and a thread that empties it.

``append`` encodes and returns; it never waits for a disk and never raises for one.  The thread writes
what has come every FLUSH_EVERY_S, a write per function.  While a disk refuses (full, read-only, broken),
or is too slow, the buffer fills; then records are dropped, counted per function, and said in the log
itself once writing works again.  Nothing is synced: what was appended survives the end of this process
FLUSH_EVERY_S later, but not the end of the machine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from supervisor.logs.layout import folder_of
from supervisor.logs.log_record import KINDS, Kind, Record
from supervisor.logs.writing.backlog import Backlog, Chunk
from supervisor.logs.writing.segment_writer import SEGMENT_AGE_S, SEGMENT_BYTES, Outlet
from supervisor.server_log import Complaint

log = logging.getLogger("cellblock.logs")

# Of all functions in one process: what a broken disk may cost in memory.
BUFFER_MAX_BYTES = 32 << 20
# A tenth of what a tailer may wait; it makes one write of a hundred lines at 10,000 lines a second.
FLUSH_EVERY_S = 0.01
# Functions with an open segment: those that log now.  The others are opened again when they do.
OPEN_MAX = 128
# A file that is held open cannot be freed by retention.
IDLE_CLOSE_S = 30.0
# Functions and kinds remembered, some 1 KiB each; one that was forgotten goes on under another writer's name.
LANES_MAX = 20_000
# After a write that failed, per function, doubling: recovery is noticed within the last.
RETRY_FIRST_S = 0.1
RETRY_MOST_S = 2.0
CLOSE_SECONDS = 5.0

# Of a segment of what is not a function's own: its kinds have a smaller bound, and go by segments too.
OTHER_SEGMENT_BYTES = SEGMENT_BYTES // 4
# Of the buffer what is not a function's own may fill: with a disk that refuses, reports come first in number.
OTHER_SHARE = 2

_Key = tuple[str, str, Kind]


def _lane_of(record: Record) -> _Key:
    return record.space, record.name, record.kind


@dataclass
class _Lane:
    """The way to the disk of one function's records of one kind."""

    backlog: Backlog
    outlet: Outlet
    retry_at: float = 0.0
    retry_s: float = 0.0
    is_forgotten: bool = False


class Writer:
    """Appends records of any functions; one per process, used from any thread."""

    def __init__(
        self,
        root: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_age_s: float = SEGMENT_AGE_S,
        other_segment_bytes: int = OTHER_SEGMENT_BYTES,
        buffer_bytes: int = BUFFER_MAX_BYTES,
        open_max: int = OPEN_MAX,
    ) -> None:
        """``root`` is made when it is first written to; nothing is opened before.

        ``other_segment_bytes`` are of a segment of what is not a function's own.
        """
        self._root = root
        self._segment_bytes = segment_bytes
        self._other_segment_bytes = other_segment_bytes
        self._segment_age_s = segment_age_s
        self._buffer_bytes = buffer_bytes
        self._open_max = open_max
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._lanes: OrderedDict[_Key, _Lane] = OrderedDict()
        self._dirty: OrderedDict[_Key, _Lane] = OrderedDict()
        self._opened: OrderedDict[int, Outlet] = OrderedDict()  # the thread's alone
        self._bytes = 0
        self._dropped = 0
        self._rounds = 0
        self._is_in_round = False
        self._is_fresh = False
        self._urgent_rounds = 0
        self._left: list[Outlet] = []  # of functions that were forgotten, to be closed
        self._closing = False
        self._complaint = Complaint(log)
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Records of all functions that found no room, ever."""
        with self._lock:
            return self._dropped

    def append(self, records: Sequence[Record]) -> None:
        """Take records to be written; what finds no room is dropped and counted.

        ValueError for a space or name that cannot be one, which the API would not have let in.
        """
        with self._lock:
            for key, group in groupby(records, _lane_of):
                lane = self._lane(key)
                before = lane.backlog.dropped
                self._bytes += lane.backlog.add(list(group), self._room(key[2]))
                self._dropped += lane.backlog.dropped - before
            self._begin()

    def append_reports(self, space: str, name: str, reports: Sequence[tuple[int, bytes]]) -> None:
        """As ``append``, of reports of one function that are ready but for their sequence.

        Each is its time and what ``encoding.encode_report`` wants.  ValueError.
        """
        with self._lock:
            lane = self._lane((space, name, "reports"))
            before = lane.backlog.dropped
            self._bytes += lane.backlog.add_reports(reports, self._room("reports"))
            self._dropped += lane.backlog.dropped - before
            self._begin()

    def _room(self, kind: Kind) -> int:
        buffer = self._buffer_bytes if kind == "own" else self._buffer_bytes // OTHER_SHARE
        return max(0, buffer - self._bytes)

    def _begin(self) -> None:
        """Under the lock: there is something to write."""
        if (self._thread is None or not self._thread.is_alive()) and not self._closing and self._dirty:
            # Daemonic: a disk that hangs does not keep the process from ending.  Begun again should a
            # mistake of ours have ended it: what it had in hand is lost, and not all that follows.
            self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
            self._thread.start()

    def dropped_of(self, space: str, name: str) -> int:
        """Records of one function that found no room, since it was first written to here."""
        with self._lock:
            lanes = [self._lanes.get((space, name, kind)) for kind in KINDS]
            return sum(lane.backlog.dropped for lane in lanes if lane)

    def forget(self, space: str, name: str) -> None:
        """The function was deleted: what waits of it is not written any more."""
        with self._lock:
            for kind in KINDS:
                lane = self._lanes.pop((space, name, kind), None)
                self._dirty.pop((space, name, kind), None)
                if lane is not None:
                    lane.is_forgotten = True
                    self._bytes -= sum(chunk.size for chunk in lane.backlog.chunks)
                    self._left.append(lane.outlet)
                    self._wake.notify_all()

    def flush(self, timeout_s: float = CLOSE_SECONDS) -> bool:
        """Try at once to write all that was appended; whether it is written.  Blocks."""
        with self._lock:
            if self._thread is None:
                return not self._dirty
            # A gap is said a round after there is room for it, and a round that runs may have passed a
            # function already.
            rounds = 3 if self._is_in_round else 2
            self._urgent_rounds = rounds
            self._wake.notify_all()
            wanted = self._rounds + rounds
            self._wake.wait_for(lambda: not self._dirty or self._rounds >= wanted, timeout_s)
            return not self._dirty

    def close(self, timeout_s: float = CLOSE_SECONDS) -> bool:
        """Write what waits and stop; whether all was written.  What is appended later is lost."""
        is_written = self.flush(timeout_s)
        with self._lock:
            self._closing = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return is_written

    def _lane(self, key: _Key) -> _Lane:
        """Under the lock: the lane, which has something to be written now.  ValueError."""
        lane = self._lanes.get(key) or self._new_lane(*key)
        if key not in self._dirty:
            self._dirty[key] = lane
            self._lanes.move_to_end(key)
            if not self._is_fresh:
                self._is_fresh = True
                self._wake.notify_all()
        return lane

    def _new_lane(self, space: str, name: str, kind: Kind) -> _Lane:
        folder = folder_of(self._root, space, name)
        backlog = Backlog(space, name, kind)
        size = self._segment_bytes if kind == "own" else self._other_segment_bytes
        lane = _Lane(backlog, Outlet(folder, backlog.writer, size, self._segment_age_s, kind))
        self._lanes[space, name, kind] = lane
        if len(self._lanes) > LANES_MAX:
            for key in self._lanes:  # the first is the one used least recently
                if key not in self._dirty:
                    self._left.append(self._lanes.pop(key).outlet)
                    break
        return lane

    # ---- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                self._wait_for_work()
                closing = self._closing
                left, self._left = self._left, []
                taken = self._take()
            results = [(lane, self._write(lane, chunks), chunks) for lane, chunks in taken]
            self._close_idle(left)
            with self._lock:
                self._account(results)
                if closing:
                    break
                self._wake.wait_for(lambda: self._urgent_rounds or self._closing, FLUSH_EVERY_S)
        for outlet in self._opened.values():
            outlet.close()

    def _wait_for_work(self) -> None:
        """Under the lock: until something is to be written, tried again, or closed."""
        next_try = min((lane.retry_at for lane in self._dirty.values()), default=None)
        wait_s = IDLE_CLOSE_S if self._opened else None
        if next_try is not None:
            wait_s = min(max(0.0, next_try - time.monotonic()), RETRY_MOST_S)
        self._wake.wait_for(
            lambda: self._is_fresh or self._urgent_rounds or self._closing or self._left, wait_s
        )

    def _take(self) -> list[tuple[_Lane, deque[Chunk]]]:
        """Under the lock: what is to be written now."""
        now = time.monotonic()
        taken = []
        for lane in self._dirty.values():
            if self._urgent_rounds or lane.retry_at <= now:
                self._bytes += lane.backlog.say_gap(self._buffer_bytes - self._bytes)
                taken.append((lane, lane.backlog.take()))
        self._is_fresh = False
        self._urgent_rounds = max(0, self._urgent_rounds - 1)
        self._is_in_round = True
        return taken

    def _write(self, lane: _Lane, chunks: deque[Chunk]) -> int:
        """Write what was taken of one function; bytes written.  What could not be stays in ``chunks``."""
        written = 0
        while chunks:
            try:
                size = lane.outlet.put(chunks[0])
            except OSError as error:
                self._complain(error, lane.backlog)
                break
            written += size
            if not size:
                break  # the next try says why
            if not chunks[0].lines:
                chunks.popleft()
        self._keep_open(lane.outlet)
        return written

    def _account(self, results: list[tuple[_Lane, int, deque[Chunk]]]) -> None:
        """Under the lock: a round is over."""
        for lane, written, rest in results:
            self._bytes -= written
            if lane.is_forgotten:
                self._bytes -= sum(chunk.size for chunk in rest)
                self._left.append(lane.outlet)
                continue
            lane.backlog.put_back(rest, written)
            if rest:
                lane.retry_s = (
                    RETRY_FIRST_S if written else min(max(2 * lane.retry_s, RETRY_FIRST_S), RETRY_MOST_S)
                )
                lane.retry_at = time.monotonic() + lane.retry_s
            else:
                lane.retry_s, lane.retry_at = 0.0, 0.0
            if not lane.backlog.chunks and not lane.backlog.unsaid:
                del self._dirty[lane.backlog.space, lane.backlog.name, lane.backlog.kind]
        self._rounds += 1
        self._is_in_round = False
        self._wake.notify_all()

    def _keep_open(self, outlet: Outlet) -> None:
        """Count it among the open ones, and close the one used least recently where they are too many."""
        self._opened[id(outlet)] = outlet
        self._opened.move_to_end(id(outlet))
        if len(self._opened) > self._open_max:
            _, oldest = self._opened.popitem(last=False)
            oldest.close()

    def _close_idle(self, left: list[Outlet]) -> None:
        """Give back what nobody writes to: retention cannot free a file that is held open."""
        idle_since = time.monotonic() - IDLE_CLOSE_S
        idle = [outlet for outlet in self._opened.values() if outlet.used_at < idle_since]
        for outlet in (*left, *idle):
            outlet.close()
            self._opened.pop(id(outlet), None)

    def _complain(self, error: OSError, backlog: Backlog) -> None:
        self._complaint.warn(
            "cannot write the log of %s/%s: %s; it is tried again, calls go on",
            backlog.space, backlog.name, error.strerror,
        )  # fmt: skip
