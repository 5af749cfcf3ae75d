"""The quotas of a space: their names, what they count, and over which time.  Pure.

The settings, the API, the store and the fronts share this table; docs/quotas.md is compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from supervisor.near_names import hint

FUNCTIONS = "functions"
VERSIONS_KEPT = "versions_kept"
STORED_BYTES = "stored_bytes"
CONCURRENT_CALLS = "concurrent_calls"
CALLS_PER_MINUTE = "calls_per_minute"
CPU_SECONDS_PER_HOUR = "cpu_seconds_per_hour"
LOG_BYTES_PER_DAY = "log_bytes_per_day"
ASYNC_QUEUED = "async_queued"

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
# A rolling sum has so many parts: what is spent counts for its window, and for one part more at most.
PARTS = 60


@dataclass(frozen=True)
class QuotaMeaning:
    """``window_s`` is 0 for what is there at once, else the time in which the quota may be spent."""

    most: int
    window_s: int
    meaning: str


QUOTAS: Mapping[str, QuotaMeaning] = MappingProxyType(
    {
        FUNCTIONS: QuotaMeaning(1_000_000, 0, "functions of the space"),
        VERSIONS_KEPT: QuotaMeaning(
            10_000, 0, "versions kept of each function, if fewer than the setting `versions_kept`"
        ),
        STORED_BYTES: QuotaMeaning(1 << 50, 0, "code of all versions, unpacked, each bundle once, bytes"),
        CONCURRENT_CALLS: QuotaMeaning(1_000_000, 0, "calls at once, those that wait too"),
        CALLS_PER_MINUTE: QuotaMeaning(1_000_000_000, MINUTE_S, "calls in any 60 seconds"),
        CPU_SECONDS_PER_HOUR: QuotaMeaning(
            1_000_000_000, HOUR_S, "processor time of ended calls in any 60 minutes, seconds"
        ),
        LOG_BYTES_PER_DAY: QuotaMeaning(1 << 50, DAY_S, "log lines of functions in any 24 hours, bytes"),
        ASYNC_QUEUED: QuotaMeaning(
            1_000_000_000, 0, "asynchronous calls that wait; kept, and in force once there is a queue"
        ),
    }
)


def checked_limits(limits: Mapping[str, Any]) -> dict[str, int]:
    """The limits of a space by the quotas' names; ValueError for one that cannot be used."""
    for name, limit in limits.items():
        if name not in QUOTAS:
            near = hint(name, QUOTAS)
            raise ValueError(f"there is no quota {name!r}; " + (near or f"there are {', '.join(QUOTAS)}"))
        most = QUOTAS[name].most
        if type(limit) is not int or not 0 <= limit <= most:
            raise ValueError(f"quota {name}: it takes a whole number from 0 to {most}")
    return dict(limits)
