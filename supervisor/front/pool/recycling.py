"""When an instance has served long enough.  Pure: a function of its age and its calls.

Memory is no reason: an instance may use nine tenths of its limit for a year, and one that meets the limit
ends for that (``limits_met``).
"""

from __future__ import annotations

from typing import NamedTuple


class Life(NamedTuple):
    """The calls that an instance has served, and the seconds since it was READY."""

    served: int
    age_s: float


class Allowance(NamedTuple):
    """The most calls and seconds that the operator gives one instance."""

    calls: int
    seconds: float


def reason_to_recycle(life: Life, allowance: Allowance) -> str:
    """Why a new instance should replace this one; "" while none need."""
    if life.served >= allowance.calls:
        return f"it has served {life.served} calls"
    if life.age_s >= allowance.seconds:
        return f"it is {life.age_s:.0f} s old"
    return ""
