"""The quotas of one space in one front: calls take from them, and give back what ends.

A call announces itself in the shared counters before it looks at their sum.  So fronts that admit at the
same moment are never above a limit together; for the last place both may be refused.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

from supervisor.errors import PlatformError
from supervisor.front.outcome import refusals
from supervisor.front.outcome.browser_headers import Headers
from supervisor.front.quotas.counter_page import CounterPage
from supervisor.front.quotas.rolling_sum import RollingSum
from supervisor.store import QuotasOfSpace
from supervisor.tenancy.quota_names import (
    CALLS_PER_MINUTE,
    CONCURRENT_CALLS,
    CPU_SECONDS_PER_HOUR,
    LOG_BYTES_PER_DAY,
    QUOTAS,
)

# The quotas with a rolling sum; the position is the number of the ring.
RINGS = (CALLS_PER_MINUTE, CPU_SECONDS_PER_HOUR, LOG_BYTES_PER_DAY)
MS = 1000
# When a place among the calls at once comes free is not known: a caller asks again this much later.
CONCURRENCY_RETRY_S = 1

# Takes what a space has spent, to have it written: the quota, the part of its window, the amount.
Spent = Callable[[str, str, int, int], None]


def tag_of(identifier: str) -> int:
    """What the counters' row of these quotas is marked with; never 0."""
    return int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:8]) or 1


def ring_of(page: CounterPage, row: int, slot: int, quota: str) -> RollingSum:
    """The rolling sum of a quota; processor time is counted in milliseconds."""
    return RollingSum(page, row, RINGS.index(quota), slot, QUOTAS[quota].window_s)


class SpaceQuota:
    """One per space with quotas; ``tell`` changes the limits and keeps the counters."""

    __slots__ = (
        "_calls", "_concurrent", "_cpu", "_cpu_ms", "_cpu_us", "_left", "_log", "_logs", "_page",
        "_per_minute", "_place", "_policy", "_row", "_running", "_spent", "_tag", "id", "limits",
        "refused", "running",
    )  # fmt: skip

    def __init__(
        self,
        page: CounterPage,
        slot: int,
        found: QuotasOfSpace,
        spent: Spent,
        refused: Counter[str],
    ) -> None:
        """``spent`` hears of what outlasts a restart; ``refused`` counts refusals by quota."""
        self.id = found.id
        self._page = page.words
        self._row, self._tag = found.row, tag_of(found.id)
        page.own(self._row, self._tag)
        self._running = page.words[page.running(found.row)]
        self._place = slot
        self._calls, self._cpu, self._logs = (ring_of(page, found.row, slot, quota) for quota in RINGS)
        self._spent = spent
        self._cpu_us = 0
        self.refused = refused
        self.running = 0
        self.tell(found.limits)

    def tell(self, limits: Mapping[str, int]) -> None:
        """Put other limits in force."""
        self.limits = dict(limits)
        self._concurrent = limits.get(CONCURRENT_CALLS)
        self._per_minute = limits.get(CALLS_PER_MINUTE)
        self._left = self._per_minute or 0
        cpu_s = limits.get(CPU_SECONDS_PER_HOUR)
        self._cpu_ms = None if cpu_s is None else cpu_s * MS
        self._log = limits.get(LOG_BYTES_PER_DAY)
        self._policy: Headers = _policy(limits)

    # ---- calls --------------------------------------------------------------------------------------

    def take(self) -> PlatformError | None:
        """Admit a call, or say why not; ``give_back`` ends one that was admitted."""
        if self._cpu_ms is not None and self._cpu.total(time.time()) >= self._cpu_ms:
            return self._over_cpu(self._cpu_ms)
        running = self.running = self.running + 1
        self._running[self._place] = running
        if self._concurrent is not None and sum(self._running) > self._concurrent:
            self.give_back()
            used = sum(self._running)
            return self._refusal(
                CONCURRENT_CALLS, self._concurrent, used, CONCURRENCY_RETRY_S, is_known=False
            )
        if self._per_minute is not None:
            now = time.monotonic()
            left = self._left = self._per_minute - self._calls.spend_one(now)
            if left < 0:
                self._calls.add(-1, now)
                self.give_back()
                return self._over_rate(self._per_minute, now)
        return None

    def give_back(self) -> None:
        """A call that was admitted has ended."""
        self.running -= 1
        if self._page[self._row] == self._tag:  # else the row is another space's by now
            self._running[self._place] = self.running

    def ended(self, cpu_us: int, space: str) -> None:
        """Count what a call took."""
        if self._cpu_ms is None or self._page[self._row] != self._tag:
            return
        ms, self._cpu_us = divmod(self._cpu_us + cpu_us, MS)
        if ms:
            self._spent(space, CPU_SECONDS_PER_HOUR, self._cpu.add(ms, time.time()), ms)

    def headers(self) -> Headers:
        """RateLimit and RateLimit-Policy of an answer, as draft-ietf-httpapi-ratelimit-headers has them.

        What is left is as of the last call that this front admitted; within a minute all of it is back.
        """
        if self._per_minute is None:
            return self._policy
        return [*self._policy, (b"ratelimit", b'"calls_per_minute";r=%d;t=60' % max(0, self._left))]

    # ---- log lines ----------------------------------------------------------------------------------

    def logs(self, size: int, space: str) -> bool:
        """Whether a line of the space's functions may be kept; counts it if so."""
        if self._log is None or self._page[self._row] != self._tag:
            return True
        now = time.time()
        if self._logs.total(now) + size > self._log:
            self.refused[LOG_BYTES_PER_DAY] += 1
            return False
        self._spent(space, LOG_BYTES_PER_DAY, self._logs.add(size, now), size)
        return True

    # ---- what is told -------------------------------------------------------------------------------

    def used(self) -> dict[str, int]:
        """What is spent of the quotas that are counted here."""
        found = {CONCURRENT_CALLS: sum(self._running)}
        found[CALLS_PER_MINUTE] = self._calls.total(time.monotonic())
        found[CPU_SECONDS_PER_HOUR] = self._cpu.total(time.time()) // MS
        found[LOG_BYTES_PER_DAY] = self._logs.total(time.time())
        return {name: amount for name, amount in found.items() if name in self.limits}

    def _over_cpu(self, limit_ms: int) -> PlatformError:
        now = time.time()
        used = self._cpu.total(now) // MS
        return self._refusal(CPU_SECONDS_PER_HOUR, limit_ms // MS, used, self._cpu.wait_s(limit_ms, now))

    def _over_rate(self, limit: int, now: float) -> PlatformError:
        used = self._calls.total(now)
        return self._refusal(CALLS_PER_MINUTE, limit, used, self._calls.wait_s(limit, now))

    def _refusal(
        self, quota: str, limit: int, used: int, wait_s: float, is_known: bool = True
    ) -> PlatformError:
        self.refused[quota] += 1
        wait = max(1, math.ceil(wait_s))
        headers = {name.decode(): value.decode() for name, value in self._policy}
        headers["ratelimit"] = f'"{quota}";r=0;t={wait}'
        return refusals.over_quota(quota, limit, used, wait, wait if is_known else None, headers)


def _policy(limits: Mapping[str, int]) -> Headers:
    found = []
    if CONCURRENT_CALLS in limits:
        found.append(f'"{CONCURRENT_CALLS}";q={limits[CONCURRENT_CALLS]};qu="concurrent-requests"')
    if CALLS_PER_MINUTE in limits:
        window_s = QUOTAS[CALLS_PER_MINUTE].window_s
        found.append(f'"{CALLS_PER_MINUTE}";q={limits[CALLS_PER_MINUTE]};w={window_s}')
    return [(b"ratelimit-policy", ", ".join(found).encode())] if found else []
