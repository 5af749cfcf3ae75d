"""The starts of one function's instances that failed in a row, and what they keep from being tried."""

from __future__ import annotations

import math

from supervisor.front.outcome.lost_calls import CircuitOpen, StartFailed, StartLate
from supervisor.front.pool import circuit


class Failures:
    """Times are the loop's."""

    def __init__(self) -> None:
        self._circuit = circuit.CLOSED
        self._last: StartFailed | StartLate | None = None
        self._counted_at = -math.inf

    @property
    def in_a_row(self) -> int:
        """How many have counted."""
        return self._circuit.failures

    def forget(self) -> None:
        """One has worked."""
        self._circuit = circuit.CLOSED

    def count(self, failure: StartFailed | StartLate, began: float, now: float) -> None:
        """One that began then has failed.  Those at once count once: a burst is no row of them."""
        self._last = failure
        if began >= self._counted_at:
            self._counted_at = now
            self._circuit = self._circuit.failed(now)

    def are_too_many(self, now: float) -> bool:
        """Whether none is tried for now."""
        return self._circuit.seconds_left(now) > 0.0

    def refusal(self, now: float) -> CircuitOpen | None:
        """Why none is tried for a call now; None where one may be."""
        left = self._circuit.seconds_left(now)
        if not left or self._last is None:
            return None
        return CircuitOpen(self._circuit.failures, left, self._last)
