"""One call from its queue to the end of its run, as a pool and an instance hold it.

The call is encoded once, before it waits: an instance that comes free gets its next call at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from supervisor.front.logs.masking import Masker
from worker import wire

# ``imports_s`` of a call that has not waited for an instance.
NOT_WAITED = -1.0


class ValuesFrame(Protocol):
    """A function's secrets and variables as they were when the call came."""

    revision: int
    frame: bytes
    masker: Masker | None


class CallHolder(Protocol):
    """An instance, as its calls know it."""

    cell: str

    def hang_up(self, call: PendingCall) -> None:
        """End the call: its caller is gone."""


class PendingCall:
    """A call that waits or runs.  The subclass says in ``ended`` what follows the end.

    Clocks: ``started``, ``queued_at``, ``sent_at`` and ``answered_at`` are ``perf_counter`` times, because
    uvloop's clock counts milliseconds; ``sent_at`` is 0.0 while the call waits.  ``limit_at`` (the time
    limit) and ``until`` (when the next step of ``deadlines.ladder`` is due) are on the loop's clock; ``step``
    is the number of that step, 0 before the limit.

    The end: ``is_over`` becomes true once, with ``frame`` set, with ``error`` set, or because the caller
    left.  ``why`` is wire.TIME_IS_UP or wire.CALLER_IS_GONE; ``where`` is the place of the call's code at
    that time.  ``is_starved``: a MemoryError ended the handler; ``remark`` tells a limit that the instance
    met.

    ``imports_s`` is ``import_waits.Imports.seconds`` when the call began to wait, or NOT_WAITED.

    The report: ``queue_s``, ``init_s`` and ``execution_s`` are seconds; ``cpu_us`` and ``peak_bytes`` are the
    cell's word.
    """

    __slots__ = (
        "_head", "answer_headers", "answered_at", "body", "call_id", "cpu_us", "end_at", "error",
        "execution_s", "frame", "imports_s", "init_s", "instance", "is_blocking", "is_over", "is_starved",
        "limit_at", "moves", "peak_bytes", "queue_s", "queued_at", "remark", "sent_at", "started", "step",
        "timeout_s", "until", "values", "where", "why",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.call_id = ""
        self.body: bytes | bytearray = b""
        self.timeout_s = 0.0
        self.queue_s = self.init_s = self.execution_s = 0.0
        self.cpu_us = self.peak_bytes = 0
        self.instance: CallHolder | None = None

    def encode(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        values: ValuesFrame,
    ) -> None:
        """Make the call ready to be queued, also for the second time: after its version was replaced.

        Raises wire.LocalProtocolError if the head does not fit into a frame.
        """
        head = (method, path, query, self.call_id, int(self.timeout_s * 1000))
        frame = wire.encode(wire.CALL, 1, head, headers, len(self.body))
        self._head = frame[wire.PREFIX.size :]
        self.values = values
        self.queued_at = time.perf_counter()
        self.imports_s = NOT_WAITED
        self.sent_at = self.answered_at = self.init_s = self.until = self.limit_at = 0.0
        self.step = self.end_at = self.moves = self.cpu_us = self.peak_bytes = 0
        self.why = wire.TIME_IS_UP
        self.where = self.remark = ""
        self.is_over = self.is_blocking = self.is_starved = False
        # Checked when the frame arrives, so that a bad header costs the cell and not the front.
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.frame: wire.Frame | None = None
        self.error: Exception | None = None

    def numbered(self, number: int) -> bytes:
        """Prefix and head for an instance that knows the call as ``number``."""
        return wire.PREFIX.pack(wire.CALL, number, len(self._head), len(self.body)) + self._head

    def finish(self, frame: wire.Frame) -> None:
        """End the call with the cell's frame."""
        if not self.is_over:
            self.is_over = True
            self.frame = frame
            self.ended()

    def fail(self, error: Exception) -> None:
        """End the call with an error.  ``ended`` follows in the loop's next turn: the pool goes on first."""
        if not self.is_over:
            self.is_over = True
            self.error = error
            asyncio.get_running_loop().call_soon(self.ended)

    def leave(self) -> None:
        """Forget the caller, who is gone: ``ended`` is not called any more."""
        self.is_over = True

    def settle(self, now: float) -> None:
        """Take the times of the run that has ended; ``now`` is a ``perf_counter`` time."""
        sent_at = self.sent_at
        if sent_at:
            self.execution_s = (self.answered_at or now) - sent_at
            now = sent_at
        # Added up: a call whose version was replaced waits twice.
        self.queue_s += max(0.0, now - self.queued_at - self.init_s)

    def ended(self) -> None:
        """Called once, after ``finish`` or ``fail``."""
        raise NotImplementedError
