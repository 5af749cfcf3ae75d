"""Wait for what a server does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.patience import FACTOR

SECONDS = 10.0 * FACTOR
STEP_SECONDS = 0.01


def eventually(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Return as soon as it holds; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(STEP_SECONDS)
