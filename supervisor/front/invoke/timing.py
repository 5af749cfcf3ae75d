"""Where the time of one call went, and what its caller is told of it."""

from __future__ import annotations

import time

from supervisor.front.invoke.pending_call import PreparedCall
from supervisor.front.outcome.answers import Headers


class Timing:
    """Seconds on perf_counter's clock."""

    __slots__ = (
        "cpu_s",
        "execution_s",
        "init_s",
        "instance",
        "peak_bytes",
        "queue_s",
        "started",
        "version",
    )

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.queue_s = self.init_s = self.execution_s = self.cpu_s = 0.0
        self.peak_bytes = self.version = 0
        self.instance = "-"

    def take(self, call: PreparedCall, now: float) -> None:
        """What a call says of its own way; ``now`` on its clock."""
        sent = call.sent_at or now
        self.init_s = call.init_s
        self.queue_s += max(0.0, sent - call.queued_at - call.init_s)
        if call.sent_at:
            self.execution_s = (call.answered_at or now) - sent
            self.instance = call.instance.cell if call.instance is not None else "-"
            self.cpu_s, self.peak_bytes = call.cpu_us / 1e6, call.peak_bytes

    def headers(self, call_id: str) -> Headers:
        """``X-Call-Id``, ``X-Duration-Seconds`` and ``Server-Timing`` (milliseconds)."""
        return [
            (b"x-call-id", call_id.encode("latin-1")),
            (b"x-duration-seconds", b"%.6f" % (time.perf_counter() - self.started)),
            (
                b"server-timing",
                b"queue;dur=%.3f, init;dur=%.3f, exec;dur=%.3f"
                % (self.queue_s * 1e3, self.init_s * 1e3, self.execution_s * 1e3),
            ),
        ]
