"""Which instances a front evicts: those idle too long, and more when the warden asks for cells.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Used(Protocol):
    """An instance: how many calls run on it, and when its last one ended (or, before one, its import)."""

    @property
    def load(self) -> int:
        """How many calls run on it."""

    last_used: float


U = TypeVar("U", bound=Used)


def idle_too_long(free: Iterable[U], not_used_since: float, most: int) -> list[U]:
    """The instances that were idle since ``not_used_since``, longest first, at most ``most``.

    ``most`` is how many the function has above its ``min_instances``.
    """
    idle = [each for each in free if each.load == 0 and each.last_used <= not_used_since]
    return sorted(idle, key=lambda each: each.last_used)[: max(0, most)]


class Candidate(NamedTuple, Generic[T]):
    """A serving instance; ``last_used`` is in seconds, ``what`` is the caller's own handle of it.

    ``is_kept``: without it the function would have fewer instances than its ``min_instances``.
    """

    space: str
    last_used: float
    is_idle: bool
    is_leaving: bool
    is_kept: bool
    what: T


def to_evict(candidates: Sequence[Candidate[T]], space: str, number: int) -> list[T]:
    """The instances to end, at most ``number``.

    With a ``space``, only its instances are chosen: idle ones first, then busy ones, which end with their
    calls.  The warden repeats its request while it lacks cells, so those that are leaving count, too.
    Without a ``space``, only idle instances are chosen, each from the space that has most instances here,
    the one idle longest first.  Kept instances come last.
    """
    staying = [each for each in candidates if not each.is_leaving]
    if space:
        leaving = sum(each.is_leaving and each.space == space for each in candidates)
        own = sorted(
            (each for each in staying if each.space == space),
            key=lambda each: (not each.is_idle, each.is_kept, each.last_used),
        )
        return [each.what for each in own[: max(0, number - leaving)]]
    idle = sorted((each for each in staying if each.is_idle), key=lambda each: (each.is_kept, each.last_used))
    count = Counter(each.space for each in staying)
    found: list[T] = []
    while idle and len(found) < number:
        each = max(idle, key=lambda each: count[each.space])  # the first of those
        idle.remove(each)
        count[each.space] -= 1
        found.append(each.what)
    return found
