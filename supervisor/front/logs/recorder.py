"""What the functions of one front write, on its way into the store of logs; never in a call's way.

Lines are gathered for a few milliseconds and appended together; the store's own thread writes them.  A
disk that refuses stops nobody: what finds no room is dropped, counted, and said in the log later.
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

# A tailer waits a hundred; the store's thread takes up to as long again.
FLUSH_SECONDS = 0.01
# More lines than this in that time are a flood, whose functions have limits of their own.
PENDING_MOST = 20_000
# Of a function's share of the disk, in segments: deleting one takes no more than this part of it.
SEGMENTS_LEAST = 8
# Remembered as deleted; of more, a call that still runs would write a log that the keeper deletes.
GONE_MOST = 1000
KEPT = Retention()


class Recorder:
    """Of one front."""

    def __init__(self, root: Path, limits: Retention = KEPT) -> None:
        """``root`` is the folder of all logs; it is made when something is first written to it.

        ``limits`` are what is kept: what is deleted is deleted by segments, so they are small beside it.
        """
        self.root = root
        self._writer = Writer(
            root,
            segment_bytes=min(SEGMENT_BYTES, limits.function_bytes // SEGMENTS_LEAST),
            segment_age_s=min(SEGMENT_AGE_S, limits.age_s / SEGMENTS_LEAST),
            other_segment_bytes=min(OTHER_SEGMENT_BYTES, limits.reports_bytes // SEGMENTS_LEAST),
        )
        self._pending: list[Record] = []
        # Functions that were deleted: calls of theirs still run, and their logs are gone already.
        self._gone: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def dropped(self) -> int:
        """Records that found no room, ever."""
        return self._writer.dropped

    def take(self, record: Record) -> None:
        """A line has come."""
        if self._gone and record[:2] in self._gone:
            return
        self._pending.append(record)
        if len(self._pending) >= PENDING_MOST:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def take_reports(self, reports: Sequence[Report]) -> None:
        """Calls have ended: a batch of them, which goes on at once."""
        quiet: defaultdict[tuple[str, str], list[tuple[int, bytes]]] = defaultdict(list)
        for report in reports:
            if not report.version:
                continue  # else anybody could make logs of functions that do not exist
            if platform_lines.is_quiet(report):
                quiet[report.space, report.function].append(platform_lines.ready(report))
            else:
                self.take(platform_lines.of_call(report))
        self.flush()
        for (space, name), ready in quiet.items():
            if (space, name) not in self._gone:
                self._writer.append_reports(space, name, ready)

    def flush(self) -> None:
        """Hand over what there is; nothing here waits for a disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._pending = self._pending, []
        try:
            self._writer.append(batch)
        except ValueError:  # the API lets no such name in: a mistake of ours, which costs these lines only
            log.exception("%d lines of functions' logs cannot be recorded", len(batch))

    def know(self, space: str, name: str) -> None:
        """The function is there, perhaps again."""
        self._gone.pop((space, name), None)

    def settled(self) -> Callable[[], bool]:
        """What to call in a thread to have all that has come so far on disk, as far as the disk lets us."""
        self.flush()
        return self._writer.flush

    async def forget(self, space: str, name: str) -> None:
        """The function is gone, and with it what it has logged; calls that still run log nothing more."""
        self._gone[space, name] = None
        if len(self._gone) > GONE_MOST:
            self._gone.popitem(last=False)
        self._pending = [record for record in self._pending if record[:2] != (space, name)]
        self._writer.forget(space, name)
        try:
            await asyncio.to_thread(delete, self.root, space, name)
        except OSError as error:  # the keeper finds them: nobody knows the function any more
            log.warning("cannot delete the logs of %s/%s: %s", space, name, error)

    async def close(self) -> None:
        """Write what waits, as far as the disk lets us."""
        self.flush()
        await asyncio.to_thread(self._writer.close)


class Journal:
    """The lines of one instance, as records: whose they are is said here and nowhere else."""

    def __init__(self, recorder: Recorder, space: str, name: str, version: int, instance: str) -> None:
        self._take = recorder.take
        self._whose = (space, name, version, instance)

    def add(self, call_id: str, stream: Stream, level: Level, text: str, is_failures: bool = False) -> None:
        """One entry, at this moment; ``call_id`` is "" where no single call can be named."""
        when = time.time_ns()
        self._take(Record(*self._whose, call_id, when, stream, level, text, "", 0, is_failures))
