"""Outcomes and durations of each function's calls in this front, counted at the end of each call.

A call costs one look into a dict and two additions.  The histogram's buckets grow by a quarter of an octave,
so a duration that is read from it is at most a fifth too high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from supervisor.front.outcome.outcomes import Outcome
from supervisor.link_records import FrontRow, FunctionRow, InstanceRow
from supervisor.store import FunctionKey

BUCKETS_PER_OCTAVE = 4
# From a microsecond to more than an hour.
BUCKETS = 32 * BUCKETS_PER_OCTAVE
# Functions that are counted; with one more, the one counted longest is forgotten.
FUNCTIONS_MOST = 10_000
# Rows of functions, and rows of instances, in one front's answer; it only counts the rest.  A row takes
# about 15 us, in which no call moves.
ROWS_MOST = 1_000


def bucket_of(seconds: float) -> int:
    """The number of a duration's bucket."""
    microseconds = seconds * 1e6
    if microseconds <= 1.0:
        return 0
    return min(BUCKETS - 1, int(math.log2(microseconds) * BUCKETS_PER_OCTAVE))


def upper_ms(bucket: int) -> float:
    """The highest duration in a bucket, milliseconds."""
    return float(2.0 ** ((bucket + 1) / BUCKETS_PER_OCTAVE) / 1e3)


class CountedInstance(Protocol):
    """What a survey asks of an instance; ``ready_at`` is on the event loop's clock, 0.0 until it is READY."""

    cell: str
    ready_at: float
    served: int
    peak_bytes: int
    is_frozen: bool
    is_retiring: bool

    @property
    def load(self) -> int:
        """The calls that it runs."""

    @property
    def is_ending(self) -> bool:
        """Whether its cell ends."""


class CountedFunction(Protocol):
    """What a survey asks of a version of a function."""

    @property
    def version(self) -> int:
        """The number of the version."""

    @property
    def waiting(self) -> int:
        """How many calls wait for an instance."""

    @property
    def instances(self) -> Collection[CountedInstance]:
        """The instances in this front."""


class Tally:
    """The calls of one function that have ended."""

    __slots__ = ("buckets", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[Outcome, int] = {}
        self.buckets = [0] * BUCKETS


class CallCounters:
    """One front's counts, of the functions that it knows or knew."""

    def __init__(
        self,
        functions: Mapping[FunctionKey, CountedFunction],
        versions_of: Callable[[FunctionKey], Iterable[CountedFunction]] | None = None,
    ) -> None:
        """``functions`` are those that exist; calls to other names are not counted.

        ``versions_of`` gives all versions of one that are called, the active one among them.
        """
        self._functions = functions
        self._versions_of = versions_of or (lambda key: [functions[key]] if key in functions else [])
        self._tallies: dict[FunctionKey, Tally] = {}

    def ended(self, space: str, name: str, outcome: Outcome, seconds: float) -> None:
        """Count a call that has ended."""
        tally = self._tallies.get((space, name))
        if tally is None:
            if (space, name) not in self._functions:
                return  # callers may invent names without end
            tally = self._tallies[space, name] = Tally()
            if len(self._tallies) > FUNCTIONS_MOST:
                del self._tallies[next(iter(self._tallies))]
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        tally.buckets[bucket_of(seconds)] += 1

    def forget(self, space: str, name: str) -> None:
        """Drop the counts of a function that was deleted."""
        self._tallies.pop((space, name), None)

    def rows(self, space: str, now: float) -> tuple[list[FrontRow], int]:
        """A row for each function and each instance of a space ("" for all), and how many were left out."""
        functions: list[FrontRow] = []
        instances: list[FrontRow] = []
        left_out = 0
        for key in [*self._functions, *(key for key in self._tallies if key not in self._functions)]:
            if space and key[0] != space:
                continue
            if len(functions) == ROWS_MOST:
                left_out += 1
                continue
            function = self._functions.get(key)
            versions = list(self._versions_of(key))
            active = function.version if function else 0
            functions.append(_function_row(key, active, versions, self._tallies.get(key)))
            held = [(each, version.version) for version in versions for each in version.instances]
            held.sort(key=lambda one: one[0].cell)
            left_out += max(0, len(held) - (ROWS_MOST - len(instances)))
            for instance, number in held[: ROWS_MOST - len(instances)]:
                instances.append(_instance_row(key, number, instance, now))
        return functions + instances, left_out


def _function_row(
    key: FunctionKey, version: int, versions: Sequence[CountedFunction], tally: Tally | None
) -> FunctionRow:
    running = sum(instance.load for each in versions for instance in each.instances)
    waiting = sum(each.waiting for each in versions)
    outcomes = {outcome.value: number for outcome, number in tally.outcomes.items()} if tally else {}
    return FunctionRow("function", *key, version, outcomes, running, waiting, list(_filled(tally)))


def _filled(tally: Tally | None) -> Iterator[list[int]]:
    for bucket, number in enumerate(tally.buckets if tally else ()):
        if number:
            yield [bucket, number]


def _instance_row(key: FunctionKey, version: int, instance: CountedInstance, now: float) -> InstanceRow:
    age_s = now - instance.ready_at if instance.ready_at else 0.0
    counts = (instance.load, instance.served, instance.peak_bytes)
    return InstanceRow("instance", instance.cell, *key, version, state_of(instance), round(age_s, 3), *counts)


def state_of(instance: CountedInstance) -> str:
    """The word for what it does, for people."""
    if instance.is_ending or instance.is_retiring:
        return "ending"
    if not instance.ready_at:
        return "starting"
    if instance.load:
        return "busy"
    return "frozen" if instance.is_frozen else "idle"
