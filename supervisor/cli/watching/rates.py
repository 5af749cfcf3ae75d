"""Calls a second and durations, from two looks at a server's counters.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class FunctionRate:
    """One function between two looks; ``p50_ms`` and ``p99_ms`` are None if no call ended."""

    full_name: str
    version: int
    calls_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    running: int
    waiting: int
    instances: int
    memory_bytes: int
    outcomes: Mapping[str, int]

    @property
    def failed(self) -> int:
        """How many calls ended otherwise than by the function's answer, since the fronts began."""
        return sum(number for word, number in self.outcomes.items() if word != "answered")

    def besides_answered(self) -> str:
        """The outcomes other than an answer, since the fronts began."""
        others = sorted((word, number) for word, number in self.outcomes.items() if word != "answered")
        return ", ".join(f"{number} {word}" for word, number in others)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"function": self.full_name, **{k: v for k, v in asdict(self).items() if k != "full_name"}}


def rates(before: Sequence[Row], now: Sequence[Row], seconds: float) -> list[FunctionRate]:
    """The functions of the second look, the busiest first."""
    earlier = {_name(row): row for row in before}
    found = [_rate(row, earlier.get(_name(row), {}), seconds) for row in now]
    return sorted(found, key=lambda one: (-one.calls_per_s, -one.running, one.full_name))


def _name(row: Row) -> str:
    return f"{row.get('space')}/{row.get('name')}"


def _rate(row: Row, earlier: Row, seconds: float) -> FunctionRate:
    calls = _grown(row, earlier, "calls")
    durations = {float(upper): number for upper, number in _grown(row, earlier, "durations").items()}
    return FunctionRate(
        _name(row),
        _count(row.get("version")),
        round(sum(calls.values()) / max(seconds, 1e-3), 3),
        percentile(durations, 50),
        percentile(durations, 99),
        _count(row.get("running")),
        _count(row.get("waiting")),
        _count(row.get("instances")),
        _count(row.get("memory_bytes")),
        _counters(row, "calls"),
    )


def _grown(row: Row, earlier: Row, key: str) -> dict[str, int]:
    """By how much each counter grew; one that fell was reset with its front, and counts as 0."""
    then = _counters(earlier, key)
    return {name: max(0, number - then.get(name, 0)) for name, number in _counters(row, key).items()}


def _counters(row: Row, key: str) -> dict[str, int]:
    found = row.get(key)
    return {str(name): _count(number) for name, number in found.items()} if isinstance(found, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def percentile(durations: Mapping[float, int], percent: int) -> float | None:
    """The upper end of the bucket within which ``percent`` of the calls lie; None without calls."""
    total = sum(durations.values())
    reached = 0
    for upper, number in sorted(durations.items()):
        reached += number
        if number and reached * 100 >= total * percent:
            return upper
    return None
