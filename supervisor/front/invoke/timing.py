"""The headers that tell a caller its call id and where the time of its request went."""

from __future__ import annotations

import time

from supervisor.front.outcome.answers import Headers


def stamps(
    call_id: str, started: float, queue_s: float = 0.0, init_s: float = 0.0, execution_s: float = 0.0
) -> Headers:
    """``X-Call-Id``, ``X-Duration-Seconds`` and ``Server-Timing`` (milliseconds).

    ``started`` is a ``perf_counter`` time.
    """
    return [
        (b"x-call-id", call_id.encode("latin-1")),
        (b"x-duration-seconds", b"%.6f" % (time.perf_counter() - started)),
        (
            b"server-timing",
            b"queue;dur=%.3f, init;dur=%.3f, exec;dur=%.3f"
            % (queue_s * 1e3, init_s * 1e3, execution_s * 1e3),
        ),
    ]
