"""Whether a function whose instances fail to start is tried again: pure, a function of what failed and now.

A module that dies at its import costs a cell each time it is called.  After a few failures in a row
nobody starts one for a while, longer each time; then one is tried, and its success forgets all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# So many in a row are bad luck at most; each was told to its callers in full.
FAILURES_MOST = 5
FIRST_S = 1.0
# A function that was repaired outside of a deploy (a host that it needs) is noticed within this time.
LONGEST_S = 60.0


@dataclass(frozen=True)
class Circuit:
    """``failures`` in a row, and the time until which none is tried, on the caller's clock."""

    failures: int = 0
    open_until: float = 0.0

    def failed(self, now: float) -> Circuit:
        """One more start has failed."""
        failures = self.failures + 1
        excess = failures - FAILURES_MOST
        if excess < 0:
            return replace(self, failures=failures)
        pause = min(LONGEST_S, FIRST_S * 2.0 ** min(excess, 16))
        return Circuit(failures, now + pause)

    def seconds_left(self, now: float) -> float:
        """How long it stays open; 0.0 when a start may be tried."""
        return max(0.0, self.open_until - now) if self.failures >= FAILURES_MOST else 0.0


CLOSED = Circuit()
