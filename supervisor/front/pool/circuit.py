"""The circuit breaker of a function whose instances fail to start.  Pure.

A module that dies at its import costs a cell each time it is called.  After a few failures in a row no
instance is started for a pause, which grows with each further failure.  After the pause one start is tried;
if it succeeds, the failures are forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

# The circuit opens at this many failures in a row.  Fewer may be bad luck, and each caller was told why.
FAILURES_MOST = 5
FIRST_S = 1.0
# The longest pause.  A repair outside a deploy, such as of a host that the function needs, shows after it.
LONGEST_S = 60.0


class Circuit(NamedTuple):
    """``failures`` in a row; no start is tried before ``open_until``, a time on the caller's clock."""

    failures: int = 0
    open_until: float = 0.0

    def failed(self, now: float) -> Circuit:
        """The circuit after one more failed start."""
        failures = self.failures + 1
        excess = failures - FAILURES_MOST
        if excess < 0:
            return self._replace(failures=failures)
        pause = min(LONGEST_S, FIRST_S * 2.0 ** min(excess, 16))
        return Circuit(failures, now + pause)

    def seconds_left(self, now: float) -> float:
        """How long the circuit stays open; 0.0 when a start may be tried."""
        return max(0.0, self.open_until - now) if self.failures >= FAILURES_MOST else 0.0


CLOSED = Circuit()
