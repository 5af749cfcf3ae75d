"""What one front has gathered and not written yet: increments by space, day, function and outcome.  Pure.

A batch that is being written keeps its number and its content until it is known to be in the store, and what
comes meanwhile is gathered in the next.  A store that is away costs no call anything: increments are merged,
and above KEYS_MOST those of further functions count for function "*".

What a cell says of itself is bounded by what it can have used: a forged figure costs its own space that much,
and nobody else anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from supervisor.function_limits import MIB
from supervisor.store.tenants.usage_batch import CallsKey, SpentKey, UsageBatch
from supervisor.tenancy.quota_names import DAY_S

# Some 200 bytes each; functions times outcomes of a few seconds.
KEYS_MOST = 50_000
# Stands for the functions that were too many; no function has this name.
OTHERS = "*"
# A clock of the cell's and one of ours differ by less.
SLACK_S = 0.01
CORES = os.cpu_count() or 1

_CALLS, _CPU, _MEMORY, _IN, _OUT, _LOGGED = range(6)


def day_of(at: float) -> str:
    """The day of a time, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def cpu_us_of(cpu_us: int, execution_s: float) -> int:
    """The processor time of a call, at most what all cores have in the duration of its run."""
    return min(cpu_us, int((execution_s + SLACK_S) * CORES * 1e6))


class UsageBook:
    """One per front worker."""

    def __init__(self, front: str, now: Callable[[], float] = time.time) -> None:
        """``front`` names this process among all that ever write to the store."""
        self._front = front
        self._now = now
        self._calls: dict[CallsKey, list[int]] = {}
        self._spent: dict[SpentKey, int] = {}
        self._number = 0
        self._writing: UsageBatch | None = None
        self._day = ""
        self._day_ends = 0.0

    def ended(
        self,
        whose: tuple[str, str],
        outcome: str,
        at: float,
        took: tuple[int, float, int, int],
        sizes: tuple[int, int],
    ) -> None:
        """Count a call that has ended.

        ``took`` is processor time in us, the run in s, the instance's peak in bytes, and the memory limit in
        MiB.  ``sizes`` are the bytes of both bodies.
        """
        if at >= self._day_ends or at < self._day_ends - DAY_S:
            self._turn(at)
        cpu_us, execution_s, peak_bytes, memory_mib = took
        row = self._row(CallsKey(whose[0], self._day, whose[1], outcome))
        row[_CALLS] += 1
        row[_CPU] += cpu_us
        row[_MEMORY] += int(min(peak_bytes, memory_mib * MIB) * execution_s + 0.5)
        row[_IN] += sizes[0]
        row[_OUT] += sizes[1]

    def logged(self, space: str, function: str, size: int) -> None:
        """Count a line that was kept."""
        at = self._now()
        if at >= self._day_ends or at < self._day_ends - DAY_S:
            self._turn(at)
        self._row(CallsKey(space, self._day, function, ""))[_LOGGED] += size

    def spent(self, space: str, quota: str, part: int, amount: int) -> None:
        """Note what was spent of a quota that outlasts a restart."""
        key = SpentKey(space, quota, part)
        self._spent[key] = self._spent.get(key, 0) + amount

    def batch(self) -> UsageBatch | None:
        """What is to be written: the batch that was not done yet, or what came since; None for nothing."""
        if self._writing is None and (self._calls or self._spent):
            self._number += 1
            calls, self._calls = self._calls, {}
            spent, self._spent = self._spent, {}
            self._writing = UsageBatch(self._front, self._number, day_of(self._now()), calls, spent)
        return self._writing

    def done(self, batch: UsageBatch) -> None:
        """The batch is in the store."""
        assert batch is self._writing
        self._writing = None

    def _row(self, key: CallsKey) -> list[int]:
        row = self._calls.get(key)
        if row is None:
            if len(self._calls) >= KEYS_MOST:
                key = key._replace(function=OTHERS)
            row = self._calls.setdefault(key, [0] * 6)
        return row

    def _turn(self, at: float) -> None:
        self._day = day_of(at)
        self._day_ends = (at // DAY_S + 1) * DAY_S
