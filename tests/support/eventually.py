"""Wait for what a server does in its own time: the one place where tests ask again and again.

An event is better where there is one: a pidfd (``processes.watch``), a line of the server's log
(``Server.said``), a connection.  Each wait has a deadline that a busy machine does not reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.support.patience import FACTOR

T = TypeVar("T")

# Only a test that fails waits so long.
SECONDS = 45.0 * FACTOR
# Soon at first, then after a tenth of what it has taken: who asks takes the processor from who is asked.
STEP_LEAST_SECONDS, STEP_MOST_SECONDS = 0.01, 0.1
STEP_SHARE = 0.1


def became(holds: Callable[[], object], seconds: float) -> bool:
    """Whether it holds before the deadline; returns as soon as it does."""
    began = time.monotonic()
    while not holds():
        taken = time.monotonic() - began
        if taken >= seconds:
            return False
        time.sleep(min(max(taken * STEP_SHARE, STEP_LEAST_SECONDS), STEP_MOST_SECONDS))
    return True


def eventually(
    holds: Callable[[], object], what: str = "it never came true", seconds: float = SECONDS
) -> None:
    """Return as soon as it holds; AssertionError with ``what`` at the deadline."""
    assert became(holds, seconds), what


def same_for(read: Callable[[], T], seconds: float, most_seconds: float = SECONDS) -> T:
    """What is read once it has stayed the same for ``seconds``; at the latest what was read last."""
    seen, since = read(), time.monotonic()

    def is_settled() -> bool:
        nonlocal seen, since
        now = read()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= seconds

    became(is_settled, most_seconds)
    return seen
