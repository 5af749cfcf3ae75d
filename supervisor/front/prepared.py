"""One call, encoded and ready to be written to whichever instance comes free first."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from worker import wire


class ValuesFrame(Protocol):
    """A space's secrets and variables as they were when the call came."""

    revision: int
    frame: bytes


class HasCalls(Protocol):
    """An instance, as a call knows it."""

    cell: str

    def hang_up(self, call: PreparedCall) -> None:
        """Its caller is gone."""


class PreparedCall:
    """Encoded once, before it waits: an instance that comes free gets its next call at once.

    ``future`` is the call's frame, or CallLost, Retired, StartFailed or PlatformError.  Times are
    ``perf_counter``'s, as uvloop's clock counts milliseconds; ``sent_at`` is 0.0 while the call
    waits.  ``limit_at``, its time limit, and ``until``, when something is to be done about it next, are on
    the loop's clock; ``step`` of ``deadlines.ladder`` is next, 0 while its time is not up.  ``why`` is
    wire.TIME_IS_UP or CALLER_IS_GONE, ``where`` the place where its code stood then.  ``is_starved``: a
    MemoryError is what it ends with; ``remark`` is about the limit that its instance met meanwhile.
    """

    __slots__ = (
        "_head",
        "answer_headers",
        "answered_at",
        "body",
        "call_id",
        "cpu_us",
        "end_at",
        "future",
        "init_s",
        "instance",
        "is_blocking",
        "is_starved",
        "limit_at",
        "moves",
        "peak_bytes",
        "queued_at",
        "remark",
        "sent_at",
        "step",
        "timeout_s",
        "until",
        "values",
        "where",
        "why",
    )

    def __init__(
        self,
        head: tuple[str, str, str, str],
        headers: list[tuple[str, str]],
        body: bytes,
        timeout_s: float,
        values: ValuesFrame,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """``head`` is method, path, query and call id.  wire.LocalProtocolError when it does not fit."""
        self._head = wire.encode(wire.CALL, 1, (*head, int(timeout_s * 1000)), headers, len(body))
        self.body = body
        self.call_id = head[3]
        self.timeout_s = timeout_s
        self.values = values
        self.queued_at = time.perf_counter()
        self.sent_at = self.answered_at = self.init_s = self.until = self.limit_at = 0.0
        self.step = self.end_at = self.moves = self.cpu_us = self.peak_bytes = 0
        self.why = wire.TIME_IS_UP
        self.where = ""
        self.is_blocking = self.is_starved = False
        self.remark = ""
        # Where it runs, for a caller that hangs up.
        self.instance: HasCalls | None = None
        # Checked as they arrive, so that a bad one costs the cell.
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.future: asyncio.Future[wire.Frame] = loop.create_future()

    def numbered(self, number: int) -> bytes:
        """Prefix and head for an instance that knows the call as ``number``."""
        kind, _, head_bytes, body_bytes = wire.PREFIX.unpack_from(self._head)
        return wire.PREFIX.pack(kind, number, head_bytes, body_bytes) + self._head[wire.PREFIX.size :]

    def fail(self, error: Exception) -> None:
        """End the wait with an error, unless the caller has left."""
        if not self.future.done():
            self.future.set_exception(error)
