"""``X-Cellblock-Logs: tail``: the end of a call's own log in a header of its answer.

A call that does not ask for it costs one comparison.  One that does waits some ms, until the store has its
lines.  If the disk refuses, the answer comes without the header.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Iterable

from supervisor.errors import PlatformError
from supervisor.front.following.log_pages import ReadingThreads
from supervisor.front.invoke.http_call import Beside, HttpCall
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome.answers import Headers
from supervisor.front.outcome.reports import now
from supervisor.logs import Query, Record

log = logging.getLogger("cellblock.logs")

TAIL_HEADER = b"x-cellblock-log-tail"
# 5.4 KiB in base64; with all other headers it stays below the 8 KiB that clients and proxies take.
TAIL_BYTES = 4096
# At most so many records, although more short lines would fit.
TAIL_RECORDS = 256
TAIL_SECONDS = 1.0
# Each line of the platform's begins with it, and no line of a function's does.
MARK = "[platform] "
# So many callers wait for their tail at once; others get no header.
WAITING_MOST = 64
# Lines are looked for from this long before the call began, in case clocks disagree.
SLACK_S = 2.0


class AnswerTail:
    """Makes the header for calls of one front."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._reading = ReadingThreads(recorder.root)
        self._waiting = 0

    def beside(self, request: HttpCall) -> Beside | None:
        """The function that adds the header to an answer; None for a caller who may not read the log."""
        if request.principal is None or not request.principal.may("log.read", request.asked.name):
            return None
        space, name = request.asked.space, request.asked.name
        started = time.monotonic()

        async def with_tail(call_id: str) -> Headers:
            tail = await self._tail(space, name, call_id, time.monotonic() - started)
            return [] if tail is None else [(TAIL_HEADER, tail)]

        return with_tail

    async def _tail(self, space: str, name: str, call_id: str, age_s: float) -> bytes | None:
        """The header's value; None when it cannot be had."""
        if self._waiting >= WAITING_MOST:
            return None
        self._waiting += 1
        try:
            async with asyncio.timeout(TAIL_SECONDS):
                await self._reading.run(self._recorder.settled())
                since = int((now() - age_s - SLACK_S) * 1e9)
                query = Query(since=max(0, since), tail=TAIL_RECORDS, call_id=call_id)
                batch = await self._reading.tail(space, name, query)
        except (TimeoutError, PlatformError, ValueError) as error:  # ValueError: not a possible name
            log.info("no log beside the answer of call %s: %s", call_id, error)
            return None
        finally:
            self._waiting -= 1
        # A call's report is written after its answer, and may still come before we look: leave it out.
        return base64.b64encode(last_bytes(one for one in batch.records if not one.is_report))


def last_bytes(records: Iterable[Record]) -> bytes:
    """The last TAIL_BYTES of the records' texts, from the beginning of a line if one begins there."""
    text = "".join(f"{_marked(record)}\n" for record in records).encode("utf-8", "replace")
    if len(text) <= TAIL_BYTES:
        return text
    end = text[-TAIL_BYTES:]
    _, newline, whole = end.partition(b"\n")
    if newline and whole:
        return whole
    rest = end.decode("utf-8", "ignore")
    # It begins in the middle of a line, where a function may have written MARK.
    return (" " + rest[1:] if rest.startswith(MARK) else rest).encode()


def _marked(record: Record) -> str:
    """The record's text with MARK before each line of the platform's, and before no other line."""
    lines = record.text.split("\n")
    if record.stream == "platform":
        return "\n".join(MARK + line for line in lines)
    return "\n".join(" " + line if line.startswith(MARK) else line for line in lines)
