"""``X-Cellblock-Logs: tail``: the end of a call's own log beside its answer, for whoever asks for it.

A caller that does not ask pays one comparison.  One that does waits until the store has the call's lines,
some ms; a disk that refuses costs the header and not the answer.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Iterable

from supervisor.errors import PlatformError
from supervisor.front.following.log_pages import LogReads
from supervisor.front.invoke.credential import Credentials
from supervisor.front.invoke.http_call import Beside, HttpCall
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome.answers import Headers
from supervisor.front.outcome.reports import now
from supervisor.logs import Query, Record

log = logging.getLogger("cellblock.logs")

TAIL_HEADER = b"x-cellblock-log-tail"
# In base64 5.4 KiB: with all other headers below the 8 KiB that clients and proxies take.
TAIL_BYTES = 4096
# Of one call: more short lines than this fit, and nobody reads them in a header.
TAIL_RECORDS = 256
TAIL_SECONDS = 1.0
# Begins each line that the platform says, and none that a function wrote.
MARK = "[platform] "
# Callers that wait for theirs; beyond them the header is left out.
WAITING_MOST = 64
# Earlier than the call's begin by this front's clock nothing of it was written, some disorder allowed.
SLACK_S = 2.0


class LogTail:
    """Of one front."""

    def __init__(self, recorder: Recorder, credentials: Credentials) -> None:
        self._recorder = recorder
        self._credentials = credentials
        self._reads = LogReads(recorder.root)
        self._waiting = 0

    def beside(self, request: HttpCall) -> Beside | None:
        """What gives the tail as a header of the answer, for a caller with a credential of the space."""
        given = [value for name, value in request.headers if name == b"authorization"]
        if len(given) != 1 or self._credentials.principal(given[0]) is None:
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
                await self._reads.do(self._recorder.settled())
                since = int((now() - age_s - SLACK_S) * 1e9)
                query = Query(since=max(0, since), tail=TAIL_RECORDS, call_id=call_id)
                batch = await self._reads.tail(space, name, query)
        except (TimeoutError, PlatformError, ValueError) as error:  # ValueError: no name that there can be
            log.info("no log beside the answer of call %s: %s", call_id, error)
            return None
        finally:
            self._waiting -= 1
        # Its report comes once it is answered: now and then that is sooner than we have looked.
        return base64.b64encode(last_bytes(one for one in batch.records if not one.is_report))


def last_bytes(records: Iterable[Record]) -> bytes:
    """The texts, a line each, of which the last TAIL_BYTES are given, whole lines where there is one."""
    text = "".join(f"{_marked(record)}\n" for record in records).encode("utf-8", "replace")
    if len(text) <= TAIL_BYTES:
        return text
    end = text[-TAIL_BYTES:]
    _, newline, whole = end.partition(b"\n")
    if newline and whole:
        return whole
    rest = end.decode("utf-8", "ignore")
    # The middle of a line is no beginning: it may have been chosen.
    return (" " + rest[1:] if rest.startswith(MARK) else rest).encode()


def _marked(record: Record) -> str:
    """A text whose every line tells whose it is: none of a function's begins with MARK."""
    lines = record.text.split("\n")
    if record.stream == "platform":
        return "\n".join(MARK + line for line in lines)
    return "\n".join(" " + line if line.startswith(MARK) else line for line in lines)
