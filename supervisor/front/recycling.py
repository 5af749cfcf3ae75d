"""When an instance has served long enough: pure, a function of what it has done."""

from __future__ import annotations

from dataclasses import dataclass

# Of its memory: what is above it grows until a call meets a MemoryError.
MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Life:
    """What an instance has behind it: calls, seconds since it was READY, the most memory that it had."""

    served: int
    age_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Allowance:
    """What the operator gives one instance; ``memory_bytes`` is its function's limit."""

    calls: int
    seconds: float
    memory_bytes: int


def reason_to_recycle(life: Life, allowance: Allowance) -> str:
    """Why an idle instance makes way for a new one; "" while it need not."""
    if life.served >= allowance.calls:
        return f"it has served {life.served} calls"
    if life.age_s >= allowance.seconds:
        return f"it is {life.age_s:.0f} s old"
    if life.peak_bytes >= MEMORY_SHARE * allowance.memory_bytes:
        return f"it has grown to {life.peak_bytes >> 20} MiB"
    return ""
