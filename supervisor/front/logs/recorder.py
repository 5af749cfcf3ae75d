"""Records the lines of one front's functions in the store of logs; no call ever waits for it.

Lines are gathered for a few milliseconds and appended together; the store's own thread writes them.  A disk
that refuses stops no call: lines that find no room are dropped, counted, and reported in the log later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.front.outcome import platform_lines
from supervisor.front.outcome.reports import Report
from supervisor.logs import Level, Record, Retention, Stream, Writer, delete
from supervisor.logs.writing.segment_writer import SEGMENT_AGE_S, SEGMENT_BYTES
from supervisor.logs.writing.writer import OTHER_SEGMENT_BYTES

log = logging.getLogger("cellblock.front")

# A follower waits a hundred milliseconds; the store's thread takes up to as long as this again.
FLUSH_SECONDS = 0.01
# More lines within FLUSH_SECONDS are handed over at once.
PENDING_MOST = 20_000
# A function's share of the disk has at least so many segments, for logs are deleted by the segment.
SEGMENTS_LEAST = 8
# So many deleted functions are remembered; a call of another one may write a log that the next sweep deletes.
GONE_MOST = 1000
KEPT = Retention()


class Recorder:
    """One front's way into the store of logs."""

    def __init__(self, root: Path, limits: Retention = KEPT) -> None:
        """``root`` is the folder of all logs; it is made when something is first written to it.

        ``limits`` say what is kept.  Logs are deleted by the segment, so segments are small beside them.
        """
        self.root = root
        # Lines above the limits of their functions, which never came here.
        self.above_limits = 0
        self._writer = Writer(
            root,
            segment_bytes=min(SEGMENT_BYTES, limits.function_bytes // SEGMENTS_LEAST),
            segment_age_s=min(SEGMENT_AGE_S, limits.age_s / SEGMENTS_LEAST),
            other_segment_bytes=min(OTHER_SEGMENT_BYTES, limits.reports_bytes // SEGMENTS_LEAST),
        )
        self._pending: list[Record] = []
        # Functions that were deleted, whose calls may still run; their logs are gone already.
        self._gone: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._gone_spaces: OrderedDict[str, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def dropped(self) -> int:
        """How many records found no room, since the front began."""
        return self._writer.dropped

    @property
    def kept(self) -> int:
        """How many records found room, since the front began."""
        return self._writer.kept

    def take(self, record: Record) -> None:
        """Record a line."""
        if self._gone and record[:2] in self._gone:
            return
        if self._gone_spaces and record.space in self._gone_spaces:
            return
        self._pending.append(record)
        if len(self._pending) >= PENDING_MOST:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def take_reports(self, reports: Sequence[Report]) -> None:
        """Record a batch of calls that have ended, at once."""
        quiet: defaultdict[tuple[str, str], list[tuple[int, bytes]]] = defaultdict(list)
        for report in reports:
            if not report.version:
                continue  # else callers could make logs of functions that do not exist
            if platform_lines.is_quiet(report):
                quiet[report.space, report.function].append(platform_lines.ready(report))
            else:
                self.take(platform_lines.of_call(report))
        self.flush()
        for (space, name), ready in quiet.items():
            if (space, name) not in self._gone and space not in self._gone_spaces:
                self._writer.append_reports(space, name, ready)

    def flush(self) -> None:
        """Hand the gathered lines to the store's thread; does not wait for the disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._pending = self._pending, []
        try:
            self._writer.append(batch)
        except ValueError:  # a name that the API refuses: a bug of ours, which costs these lines only
            log.exception("%d lines of functions' logs cannot be recorded", len(batch))

    def know(self, space: str, name: str) -> None:
        """Record the function's lines again, if it was deleted before."""
        self._gone.pop((space, name), None)
        self._gone_spaces.pop(space, None)

    def settled(self) -> Callable[[], bool]:
        """Returns what to call in a thread to have all lines so far on disk, as far as the disk allows."""
        self.flush()
        return self._writer.flush

    def forget_space(self, space: str) -> None:
        """Keep no more lines of a space that was deleted; whoever deletes it deletes its folder."""
        self._gone_spaces[space] = None
        if len(self._gone_spaces) > GONE_MOST:
            self._gone_spaces.popitem(last=False)
        self._pending = [record for record in self._pending if record.space != space]
        self._writer.forget_space(space)

    async def forget(self, space: str, name: str) -> None:
        """Delete the log of a deleted function; its calls that still run log nothing more."""
        self._gone[space, name] = None
        if len(self._gone) > GONE_MOST:
            self._gone.popitem(last=False)
        self._pending = [record for record in self._pending if record[:2] != (space, name)]
        self._writer.forget(space, name)
        try:
            await asyncio.to_thread(delete, self.root, space, name)
        except OSError as error:  # the next sweep finds them, as the function is unknown by then
            log.warning("cannot delete the logs of %s/%s: %s", space, name, error)

    async def close(self) -> None:
        """Write what is gathered, as far as the disk allows."""
        self.flush()
        await asyncio.to_thread(self._writer.close)


class Journal:
    """Makes records of the lines of one instance, each with its function, version, instance and time."""

    def __init__(self, recorder: Recorder, space: str, name: str, version: int, instance: str) -> None:
        self._take = recorder.take
        self._recorder = recorder
        self._whose = (space, name, version, instance)

    def add(self, call_id: str, stream: Stream, level: Level, text: str, is_failures: bool = False) -> None:
        """Record one line or entry now; ``call_id`` is "" where no single call can be named."""
        when = time.time_ns()
        self._take(Record(*self._whose, call_id, when, stream, level, text, "", 0, is_failures))

    def dropped(self, lines: int) -> None:
        """Count lines that were above the function's limits."""
        self._recorder.above_limits += lines
