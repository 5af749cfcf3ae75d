"""One record for each call: its outcome, times and memory.  Written in batches, off the call's path."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TextIO

from supervisor.front.outcome.outcomes import TABLE, Outcome
from supervisor.function_limits import MIB

log = logging.getLogger("cellblock.front")

# The report of a call that has ended is in the log this soon.
FLUSH_SECONDS = 0.05
# More reports in that time are only counted: 200,000 calls a second are beyond any front.
PENDING_MOST = 10_000


class Report(NamedTuple):
    """Times in seconds, memory in bytes; ``at`` is the time of day.  ``instance`` is ``-`` for none.

    ``version`` is 0 if the call reached no function.  ``message`` is what the platform told the caller.
    """

    at: float
    space: str
    function: str
    version: int
    instance: str
    call_id: str
    outcome: Outcome
    status: int
    total_s: float
    queue_s: float
    init_s: float
    exec_s: float
    cpu_s: float
    peak_bytes: int
    message: str = ""


def now() -> float:
    """The time of day, for people who read logs; no decision depends on it."""
    return time.time()


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    # A batch falls into one second or two, and this is the most expensive part of a line.
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def line_of(report: Report) -> str:
    """The record as a line of the server's log: function, instance, call, then ``key=value`` pairs."""
    clock = _second(int(report.at))
    level = TABLE[report.outcome].level.upper()
    return (
        f"{clock},{int(report.at % 1 * 1000):03d} {level} cellblock.report: "
        f"{report.space}/{report.function} {report.instance} {report.call_id} "
        f"outcome={report.outcome.value} status={report.status} version={report.version} "
        f"duration_ms={report.total_s * 1e3:.3f} queue_ms={report.queue_s * 1e3:.3f} "
        f"init_ms={report.init_s * 1e3:.3f} exec_ms={report.exec_s * 1e3:.3f} "
        f"cpu_ms={report.cpu_s * 1e3:.3f} peak_mib={report.peak_bytes / MIB:.1f}\n"
    )


class Reports:
    """The reports of one front.

    ``on_begin(space, function, call_id, headers)`` hears of each call that is about to be queued.
    """

    on_begin: Callable[[str, str, str, Sequence[tuple[str, str]]], None] | None = None

    def __init__(
        self,
        is_written: bool = True,
        stream: TextIO | None = None,
        keep: Callable[[Sequence[Report]], None] | None = None,
        line_of: Callable[[Report], str] = line_of,
    ) -> None:
        """If ``is_written``, each goes to ``stream`` by ``line_of``; ``keep`` gets every batch."""
        self._dropped = 0
        self._is_written = is_written
        self._keep = keep
        self._line_of = line_of
        self._stream = stream or sys.stderr
        self._pending: list[Report] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def take(self, report: Report) -> None:
        """Take the report of a call that has ended."""
        if not self._is_written and self._keep is None:
            return
        if len(self._pending) >= PENDING_MOST:
            self._dropped += 1
            return
        self._pending.append(report)
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write the pending reports."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._pending = self._pending, []
        if self._dropped:
            log.warning(
                "%d reports were dropped: more than %d in %g s", self._dropped, PENDING_MOST, FLUSH_SECONDS
            )
            self._dropped = 0
        if self._keep is not None:
            self._keep(batch)
        if not self._is_written:
            return
        try:
            self._stream.write("".join(map(self._line_of, batch)))
            self._stream.flush()
        except OSError:
            pass  # the server's own log is full or gone, and calls go on
