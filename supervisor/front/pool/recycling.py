"""When an instance has served long enough: pure, a function of what it has done.

Its memory is not asked: who holds nine tenths of it may do so for a year, and who meets the limit ends for
that (``met``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Life:
    """What an instance has behind it: calls, and seconds since it was READY."""

    served: int
    age_s: float


@dataclass(frozen=True)
class Allowance:
    """What the operator gives one instance."""

    calls: int
    seconds: float


def reason_to_recycle(life: Life, allowance: Allowance) -> str:
    """Why an idle instance makes way for a new one; "" while it need not."""
    if life.served >= allowance.calls:
        return f"it has served {life.served} calls"
    if life.age_s >= allowance.seconds:
        return f"it is {life.age_s:.0f} s old"
    return ""
