"""What calls came to over all fronts, since the server began.  Pure.

A front says what its calls came to since it was last asked, and forgets that.  So a front that ends takes
nothing away from a sum, and a front that does not answer makes none smaller.

So many functions are told apart (``metrics_functions``); the calls of all others are added up under OTHER.
Which functions they are is decided here, once for all fronts.  A function that nobody called for
FORGET_AFTER_S makes way for another: what its calls came to is added to OTHER.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TypeVar

from supervisor.link_records import CallsRow, MetricRow, NumberRow
from worker.message_fields import INT_MOST

Key = tuple[str, str]
N = TypeVar("N", int, float)

# No space is called so: neither can be taken for a function.
OTHER: Key = ("-", "other")
UNKNOWN: Key = ("-", "unknown")
# Status codes, and outcomes, that are told apart for one function; a function may answer with 400 codes.
WORDS_MOST = 32
OTHER_WORD = "other"
# Numbers that are no function's; more than this would be a front's mistake, or an attack of one.
NUMBERS_MOST = 256
FORGET_AFTER_S = 3600.0


def added(number: N, more: N) -> N:
    """The sum, or the most that a message can carry: a front may say anything."""
    return min(number + more, INT_MOST)


class FunctionTotal:
    """What one function's calls came to."""

    __slots__ = (
        "codes", "duration_s", "durations", "outcomes", "queue_s", "queues", "start_s", "starts", "told_at",
    )  # fmt: skip

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        self.durations: list[int] = []
        self.queues: list[int] = []
        self.starts: list[int] = []
        self.duration_s = self.queue_s = self.start_s = 0.0
        self.told_at = 0.0

    def add(self, more: CallsRow | FunctionTotal) -> None:
        """Add the calls of a row, or those of a function that is told apart no longer."""
        _add_words(self.outcomes, more.outcomes)
        _add_words(self.codes, more.codes)
        for mine, others in (
            (self.durations, more.durations),
            (self.queues, more.queues),
            (self.starts, more.starts),
        ):
            mine.extend([0] * (len(others) - len(mine)))
            for index, number in enumerate(others):
                mine[index] = added(mine[index], number)
        self.duration_s = added(self.duration_s, more.duration_s)
        self.queue_s = added(self.queue_s, more.queue_s)
        self.start_s = added(self.start_s, more.start_s)


def _add_words(mine: dict[str, int], others: Mapping[str, int]) -> None:
    for word, number in others.items():
        known = word if word in mine or len(mine) < WORDS_MOST else OTHER_WORD
        mine[known] = added(mine.get(known, 0), number)


class Now:
    """What a scrape finds at its moment, of functions and of the rest."""

    def __init__(self) -> None:
        # Running, waiting, instances, bytes.
        self.of_functions: dict[Key, list[int]] = {}
        self.numbers: list[NumberRow] = []

    def add(self, key: Key, running: int = 0, waiting: int = 0, instances: int = 0, size: int = 0) -> None:
        """Add to what a function has now."""
        found = self.of_functions.setdefault(key, [0, 0, 0, 0])
        for index, number in enumerate((running, waiting, instances, size)):
            found[index] = added(found[index], number)


class ServerTotals:
    """The sums of one server."""

    def __init__(self, functions_most: int) -> None:
        self._most = functions_most
        # The function whose calls were told longest ago comes first.
        self._functions: OrderedDict[Key, FunctionTotal] = OrderedDict()
        self._rest = {OTHER: FunctionTotal(), UNKNOWN: FunctionTotal()}
        self._numbers: dict[Key, float] = {}

    def calls(self, row: CallsRow, now: float) -> Key:
        """Add a function's calls; returns the name that it is shown under."""
        key = self.shown_as((row.space, row.name), now)
        total = self._rest.get(key) or self._functions[key]
        if row.outcomes:
            total.add(row)
            total.told_at = now
            if key in self._functions:
                self._functions.move_to_end(key)
        return key

    def shown_as(self, key: Key, now: float) -> Key:
        """The function itself if it is told apart from now on, else OTHER."""
        if key in self._functions or key in self._rest:
            return key
        if len(self._functions) >= self._most:
            oldest = next(iter(self._functions), None)
            if oldest is None or now - self._functions[oldest].told_at < FORGET_AFTER_S:
                return OTHER
            self._rest[OTHER].add(self._functions.pop(oldest))
        self._functions[key] = FunctionTotal()
        self._functions[key].told_at = now
        return key

    def count(self, name: str, label: str = "", more: float = 1) -> None:
        """Add to a number that is no function's."""
        key = name, label
        if key not in self._numbers and len(self._numbers) >= NUMBERS_MOST:
            key = name, OTHER_WORD
            if key not in self._numbers:
                return
        self._numbers[key] = added(self._numbers.get(key, 0.0), more)

    def rows(self, moment: Now) -> Iterator[MetricRow]:
        """All sums, with what there is at this moment."""
        for key, total in [*self._functions.items(), *self._rest.items()]:
            yield CallsRow(
                "calls", *key, dict(total.outcomes), dict(total.codes), list(total.durations),
                total.duration_s, list(total.queues), total.queue_s, list(total.starts), total.start_s,
                *moment.of_functions.get(key, (0, 0, 0, 0)),
            )  # fmt: skip
        for (name, label), value in list(self._numbers.items()):
            yield NumberRow("number", name, label, value, True)
        yield from moment.numbers
