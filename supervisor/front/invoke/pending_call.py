"""One call, encoded and ready to be written to whichever instance comes free first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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

    ``on_end`` is called once, with ``frame`` set or with ``error``: CallLost, Retired, StartFailed,
    StartLate or PlatformError; never once its caller has left.  ``is_over`` from then on.  Times are
    ``perf_counter``'s, as uvloop's clock counts milliseconds; ``sent_at`` is 0.0 while the call waits.
    ``limit_at``, its time limit, and ``until``, when something is to be done about it next, are on the
    loop's clock; ``step`` of ``deadlines.ladder`` is next, 0 while its time is not up.  ``why`` is
    wire.TIME_IS_UP or CALLER_IS_GONE, ``where`` the place where its code stood then.  ``is_starved``: a
    MemoryError is what it ends with; ``remark`` is about the limit that its instance met meanwhile.  Only one
    that waits has ``imports_s`` (``importing.Waiting``).
    """

    imports_s: float

    __slots__ = (
        "_head",
        "answer_headers",
        "answered_at",
        "body",
        "call_id",
        "cpu_us",
        "end_at",
        "error",
        "frame",
        "imports_s",
        "init_s",
        "instance",
        "is_blocking",
        "is_over",
        "is_starved",
        "limit_at",
        "moves",
        "on_end",
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
        body: bytes | bytearray,
        timeout_s: float,
        values: ValuesFrame,
        on_end: Callable[[PreparedCall], None],
    ) -> None:
        """``head`` is method, path, query and call id.  wire.LocalProtocolError when it does not fit."""
        frame = wire.encode(wire.CALL, 1, (*head, int(timeout_s * 1000)), headers, len(body))
        self._head = frame[wire.PREFIX.size :]
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
        self.on_end = on_end
        self.is_over = False
        self.frame: wire.Frame | None = None
        self.error: Exception | None = None

    def numbered(self, number: int) -> bytes:
        """Prefix and head for an instance that knows the call as ``number``."""
        return wire.PREFIX.pack(wire.CALL, number, len(self._head), len(self.body)) + self._head

    def finish(self, frame: wire.Frame) -> None:
        """It has its frame."""
        if not self.is_over:
            self.is_over = True
            self.frame = frame
            self.on_end(self)

    def fail(self, error: Exception) -> None:
        """It ends with an error, which is told in the loop's next turn: whoever says so goes on first."""
        if not self.is_over:
            self.is_over = True
            self.error = error
            asyncio.get_running_loop().call_soon(self.on_end, self)

    def leave(self) -> None:
        """Its caller is gone: nobody is told how it ends."""
        self.is_over = True
