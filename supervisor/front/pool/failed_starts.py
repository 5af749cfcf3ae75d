"""One function's failed starts in a row, and the refusal that callers get while its circuit is open."""

from __future__ import annotations

import math

from supervisor.front.outcome.lost_calls import CircuitOpen, StartFailed, StartLate
from supervisor.front.pool import circuit


class FailedStarts:
    """Times are on the event loop's clock."""

    def __init__(self) -> None:
        self._circuit = circuit.CLOSED
        self._last: StartFailed | StartLate | None = None
        self._counted_at = -math.inf

    @property
    def in_a_row(self) -> int:
        """How many failures have counted since the last start that succeeded."""
        return self._circuit.failures

    def reset(self) -> None:
        """Forget the failures: a start has succeeded."""
        self._circuit = circuit.CLOSED

    def count(self, failure: StartFailed | StartLate, began: float, now: float) -> None:
        """Count a start that has failed.  Starts that overlap count once: a burst is not a row."""
        self._last = failure
        if began >= self._counted_at:
            self._counted_at = now
            self._circuit = self._circuit.failed(now)

    def is_circuit_open(self, now: float) -> bool:
        """Whether no start may be tried now."""
        return self._circuit.seconds_left(now) > 0.0

    def refusal(self, now: float) -> CircuitOpen | None:
        """The error for a call while the circuit is open; None while a start may be tried."""
        left = self._circuit.seconds_left(now)
        if not left or self._last is None:
            return None
        return CircuitOpen(self._circuit.failures, left, self._last)
