"""Appending to the logs from one process: a bounded buffer, and a thread that empties it.

``append`` encodes and returns; it never waits for a disk and never raises for one.  Every FLUSH_EVERY_S the
thread writes what waits, with one write per function.  While a disk refuses (full, read-only, broken) or is
too slow, the buffer fills.  Then records are dropped and counted per function, and the log itself says so
once writing works again.  Nothing is synced: FLUSH_EVERY_S later a record survives the end of this process,
but not a crash of the machine.
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
from supervisor.logs.log_record import KINDS, Record, RecordKind
from supervisor.logs.writing.backlog import Backlog, Chunk
from supervisor.logs.writing.segment_writer import SEGMENT_AGE_S, SEGMENT_BYTES, SegmentWriter
from supervisor.server_log import Complaint

log = logging.getLogger("cellblock.logs")

# The buffer of all functions in one process: the memory that a broken disk may cost.
BUFFER_MAX_BYTES = 32 << 20
# A tenth of the time that a follower may wait; at 10,000 lines a second one write takes a hundred lines.
FLUSH_EVERY_S = 0.01
# Open segments at once: those of functions that log now.  The others are opened again when they log.
OPEN_MAX = 128
# Retention cannot free a file that is held open.
IDLE_CLOSE_S = 30.0
# Functions and kinds remembered, some 1 KiB each; a forgotten one goes on under a new writer's name.
LANES_MAX = 20_000
# The wait after a write that failed, per function, doubling; a recovery is noticed within the longest.
RETRY_FIRST_S = 0.1
RETRY_MOST_S = 2.0
CLOSE_SECONDS = 5.0

# Segments of other kinds than a function's own lines are smaller: those kinds have a smaller bound, and
# retention deletes whole segments.
OTHER_SEGMENT_BYTES = SEGMENT_BYTES // 4
# Other kinds than a function's own lines may fill the buffer divided by this: while a disk refuses, reports
# would crowd out the lines.
OTHER_BUFFER_SHARE = 2

_Key = tuple[str, str, RecordKind]


def _lane_of(record: Record) -> _Key:
    return record.space, record.name, record.kind


@dataclass
class _Lane:
    """How the records of one function and one kind get to the disk."""

    backlog: Backlog
    segment_writer: SegmentWriter
    retry_at: float = 0.0
    retry_s: float = 0.0
    is_forgotten: bool = False


class Writer:
    """Appends the records of all functions; one per process, used from any thread."""

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
        """The first record makes ``root``.

        ``other_segment_bytes`` is the size of a segment of another kind than a function's own lines.
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
        self._opened: OrderedDict[int, SegmentWriter] = OrderedDict()  # the thread's alone
        self._bytes = 0
        self._dropped = self._taken = 0
        self._rounds = 0
        self._is_in_round = False
        self._is_fresh = False
        self._urgent_rounds = 0
        self._left: list[SegmentWriter] = []  # of functions that were forgotten, to be closed
        self._closing = False
        self._complaint = Complaint(log)
        self._thread: threading.Thread | None = None
        self._is_late = False  # the thread could not be started, and the log has it

    @property
    def dropped(self) -> int:
        """Records of all functions that were dropped, ever."""
        with self._lock:
            return self._dropped

    @property
    def kept(self) -> int:
        """Records of all functions that were taken and not dropped, ever."""
        with self._lock:
            return self._taken - self._dropped

    def append(self, records: Sequence[Record]) -> None:
        """Take records to be written; those without room are dropped and counted.

        ValueError for an impossible space or name, which the API refuses before.
        """
        with self._lock:
            self._taken += len(records)
            for key, group in groupby(records, _lane_of):
                lane = self._lane(key)
                before = lane.backlog.dropped
                self._bytes += lane.backlog.add(list(group), self._room(key[2]))
                self._dropped += lane.backlog.dropped - before
            self._begin()

    def append_reports(self, space: str, name: str, reports: Sequence[tuple[int, bytes]]) -> None:
        """Like ``append``, for reports of one function that are encoded but for time and sequence.

        Each is its time and the ``rest`` of ``record_encoding.encode_report``.  ValueError.
        """
        with self._lock:
            self._taken += len(reports)
            lane = self._lane((space, name, "reports"))
            before = lane.backlog.dropped
            self._bytes += lane.backlog.add_reports(reports, self._room("reports"))
            self._dropped += lane.backlog.dropped - before
            self._begin()

    def _room(self, kind: RecordKind) -> int:
        buffer = self._buffer_bytes if kind == "own" else self._buffer_bytes // OTHER_BUFFER_SHARE
        return max(0, buffer - self._bytes)

    def _begin(self) -> None:
        """Under the lock: there is something to write."""
        if (self._thread is None or not self._thread.is_alive()) and not self._closing and self._dirty:
            # A daemon thread, so that a disk that hangs does not keep the process from ending.  Should a
            # mistake of ours end it, it begins again: what it had in hand is lost, but not all that follows.
            thread = threading.Thread(target=self._run, name="logs", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the host has no process left: the next record tries again
                if not self._is_late:
                    log.warning("cannot write functions' logs yet: %s; what waits is written later", error)
                self._is_late = True
            else:
                self._thread, self._is_late = thread, False

    def dropped_of(self, space: str, name: str) -> int:
        """Records of one function that were dropped since its first record in this process."""
        with self._lock:
            lanes = [self._lanes.get((space, name, kind)) for kind in KINDS]
            return sum(lane.backlog.dropped for lane in lanes if lane)

    def forget(self, space: str, name: str) -> None:
        """Drop what waits of a function that was deleted."""
        with self._lock:
            self._forget([(space, name, kind) for kind in KINDS])

    def forget_space(self, space: str) -> None:
        """Drop what waits of all functions of a space that was deleted."""
        with self._lock:
            self._forget([key for key in self._lanes if key[0] == space])

    def _forget(self, keys: Sequence[_Key]) -> None:
        """Under the lock."""
        for key in keys:
            lane = self._lanes.pop(key, None)
            self._dirty.pop(key, None)
            if lane is not None:
                lane.is_forgotten = True
                self._bytes -= sum(chunk.size for chunk in lane.backlog.chunks)
                self._left.append(lane.segment_writer)
                self._wake.notify_all()

    def flush(self, timeout_s: float = CLOSE_SECONDS) -> bool:
        """Write all that was appended at once; whether all is written.  Blocks."""
        with self._lock:
            if self._thread is None:
                return not self._dirty
            # A gap record is written one round after there is room for it, and a running round may have
            # passed a function already.
            rounds = 3 if self._is_in_round else 2
            self._urgent_rounds = rounds
            self._wake.notify_all()
            wanted = self._rounds + rounds
            self._wake.wait_for(lambda: not self._dirty or self._rounds >= wanted, timeout_s)
            return not self._dirty

    def close(self, timeout_s: float = CLOSE_SECONDS) -> bool:
        """Write what waits, and stop; whether all was written.  Later records are lost."""
        is_written = self.flush(timeout_s)
        with self._lock:
            self._closing = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return is_written

    def _lane(self, key: _Key) -> _Lane:
        """Under the lock: the lane, marked as having something to write.  ValueError."""
        lane = self._lanes.get(key) or self._new_lane(*key)
        if key not in self._dirty:
            self._dirty[key] = lane
            self._lanes.move_to_end(key)
            if not self._is_fresh:
                self._is_fresh = True
                self._wake.notify_all()
        return lane

    def _new_lane(self, space: str, name: str, kind: RecordKind) -> _Lane:
        folder = folder_of(self._root, space, name)
        backlog = Backlog(space, name, kind)
        size = self._segment_bytes if kind == "own" else self._other_segment_bytes
        lane = _Lane(backlog, SegmentWriter(folder, backlog.writer, size, self._segment_age_s, kind))
        self._lanes[space, name, kind] = lane
        if len(self._lanes) > LANES_MAX:
            for key in self._lanes:  # the first is the one used least recently
                if key not in self._dirty:
                    self._left.append(self._lanes.pop(key).segment_writer)
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
        for segment_writer in self._opened.values():
            segment_writer.close()

    def _wait_for_work(self) -> None:
        """Under the lock: wait until something is to be written, tried again, or closed."""
        next_try = min((lane.retry_at for lane in self._dirty.values()), default=None)
        wait_s = IDLE_CLOSE_S if self._opened else None
        if next_try is not None:
            wait_s = min(max(0.0, next_try - time.monotonic()), RETRY_MOST_S)
        self._wake.wait_for(
            lambda: self._is_fresh or self._urgent_rounds or self._closing or self._left, wait_s
        )

    def _take(self) -> list[tuple[_Lane, deque[Chunk]]]:
        """Under the lock: take what is to be written now."""
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
        """Write what was taken from one lane; the bytes written.  The rest stays in ``chunks``."""
        written = 0
        while chunks:
            try:
                size = lane.segment_writer.put(chunks[0])
            except OSError as error:
                self._complain(error, lane.backlog)
                break
            written += size
            if not size:
                break  # the next try says why
            if not chunks[0].lines:
                chunks.popleft()
        self._keep_open(lane.segment_writer)
        return written

    def _account(self, results: list[tuple[_Lane, int, deque[Chunk]]]) -> None:
        """Under the lock: note the results of a round."""
        for lane, written, rest in results:
            self._bytes -= written
            if lane.is_forgotten:
                self._bytes -= sum(chunk.size for chunk in rest)
                self._left.append(lane.segment_writer)
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

    def _keep_open(self, segment_writer: SegmentWriter) -> None:
        """Count it among the open ones; beyond the most, close the one used least recently."""
        self._opened[id(segment_writer)] = segment_writer
        self._opened.move_to_end(id(segment_writer))
        if len(self._opened) > self._open_max:
            _, oldest = self._opened.popitem(last=False)
            oldest.close()

    def _close_idle(self, left: list[SegmentWriter]) -> None:
        """Close segments without writes: retention cannot free a file that is held open."""
        idle_since = time.monotonic() - IDLE_CLOSE_S
        idle = [
            segment_writer for segment_writer in self._opened.values() if segment_writer.used_at < idle_since
        ]
        for segment_writer in (*left, *idle):
            segment_writer.close()
            self._opened.pop(id(segment_writer), None)

    def _complain(self, error: OSError, backlog: Backlog) -> None:
        self._complaint.warn(
            "cannot write the log of %s/%s: %s; it is tried again, calls go on",
            backlog.space, backlog.name, error.strerror,
        )  # fmt: skip
