"""What the calls of each function came to since the warden asked last, counted at the end of each call.

The warden keeps the sums (``supervisor.warden.metrics.server_totals``).  What it was told is forgotten here,
so a front holds nothing of a function that is not called.  A call costs a look into a dict, some additions,
and a bisection or two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from supervisor.front.outcome.outcomes import Outcome
from supervisor.link_records import CallsRow
from supervisor.store import FunctionKey

# The upper ends of the histograms' buckets, seconds: a warm call takes a millisecond, a time limit ends most
# calls within ten seconds.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BUCKETS = len(BOUNDS_S) + 1
# Functions that are told apart between two scrapes; the calls of further ones are added up.
FUNCTIONS_MOST = 10_000
# No space is called so (``supervisor.warden.metrics.server_totals`` has the same).
OTHER: FunctionKey = ("-", "other")
UNKNOWN: FunctionKey = ("-", "unknown")


class LoadedInstance(Protocol):
    """What is asked of an instance."""

    @property
    def load(self) -> int:
        """The calls that it runs."""


class CalledFunction(Protocol):
    """What is asked of a version of a function."""

    @property
    def waiting(self) -> int:
        """How many calls wait for an instance."""

    @property
    def instances(self) -> Collection[LoadedInstance]:
        """The instances in this front."""


class CallTally:
    """The calls of one function that have ended; histograms are numbers of calls by bucket."""

    __slots__ = (
        "codes", "duration_s", "durations", "outcomes", "queue_s", "queues", "start_s", "starts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.outcomes: dict[Outcome, int] = {}
        self.codes: dict[int, int] = {}
        self.durations = [0] * BUCKETS
        self.queues = [0] * BUCKETS
        self.starts = [0] * BUCKETS
        self.duration_s = self.queue_s = self.start_s = 0.0


class CallMetrics:
    """One front's."""

    def __init__(
        self,
        functions: Mapping[FunctionKey, CalledFunction],
        versions_of: Callable[[FunctionKey], Iterable[CalledFunction]] | None = None,
    ) -> None:
        """``functions`` are those that exist; callers may invent other names without end.

        ``versions_of`` gives all versions of one that are called, the active one among them.
        """
        self._functions = functions
        self._versions_of = versions_of or (lambda key: [functions[key]])
        self._tallies: dict[FunctionKey, CallTally] = {}

    def ended(
        self, key: FunctionKey, outcome: Outcome, status: int, version: int, times: tuple[float, float, float]
    ) -> None:
        """Count a call that has ended.

        ``version`` is 0 if it reached no function, ``status`` if it got no answer; ``times`` are those of the
        whole call, of its wait for an instance, and of the instance's start.
        """
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tally_of(key, bool(version))
        outcomes, codes = tally.outcomes, tally.codes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        codes[status] = codes.get(status, 0) + 1
        total_s, queue_s, start_s = times
        tally.durations[bisect_left(BOUNDS_S, total_s)] += 1
        tally.duration_s += total_s
        if version:
            tally.queues[bisect_left(BOUNDS_S, queue_s)] += 1
            tally.queue_s += queue_s
            if start_s:
                tally.starts[bisect_left(BOUNDS_S, start_s)] += 1
                tally.start_s += start_s

    def _tally_of(self, key: FunctionKey, is_known: bool) -> CallTally:
        if not is_known and key not in self._functions:
            key = UNKNOWN
        elif len(self._tallies) >= FUNCTIONS_MOST:
            key = OTHER
        return self._tallies.setdefault(key, CallTally())

    def rows(self) -> Iterator[CallsRow]:
        """What the calls came to since the last time, and how many run and wait now."""
        tallies, self._tallies = self._tallies, {}
        for key in list(self._functions):
            versions = list(self._versions_of(key))
            running = sum(instance.load for each in versions for instance in each.instances)
            waiting = sum(each.waiting for each in versions)
            tally = tallies.pop(key, None)
            if tally is not None or running or waiting:
                yield _row(key, tally or CallTally(), running, waiting)
        for key, tally in tallies.items():
            yield _row(key, tally, 0, 0)


def _row(key: FunctionKey, tally: CallTally, running: int, waiting: int) -> CallsRow:
    return CallsRow(
        "calls",
        *key,
        {outcome.value: number for outcome, number in tally.outcomes.items()},
        {str(code): number for code, number in tally.codes.items()},
        tally.durations,
        tally.duration_s,
        tally.queues,
        tally.queue_s,
        tally.starts,
        tally.start_s,
        running,
        waiting,
    )
