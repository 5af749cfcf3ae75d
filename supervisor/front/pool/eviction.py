"""Which instances of a front make way when the warden asks for cells: a pure function of a snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Held(Generic[T]):
    """One instance that serves; ``last_used`` in seconds, ``what`` is whatever the caller knows it by.

    ``is_kept``: its function is to have so many without a call, by its ``min_instances``.
    """

    space: str
    last_used: float
    is_idle: bool
    is_making_way: bool
    is_kept: bool
    what: T


def chosen(held: Sequence[Held[T]], space: str, number: int) -> list[T]:
    """The instances to end, ``number`` at most.

    With a ``space``: of that one, those that are idle first, then busy ones, which end with their calls.
    It is asked for again while it is needed, so those that are already on their way count.  Without one,
    idle ones only: of the space that has most here, and of it the one that has been idle longest.  Of each
    space those that are kept come last.
    """
    staying = [each for each in held if not each.is_making_way]
    if space:
        on_their_way = sum(each.is_making_way and each.space == space for each in held)
        own = sorted(
            (each for each in staying if each.space == space),
            key=lambda each: (not each.is_idle, each.is_kept, each.last_used),
        )
        return [each.what for each in own[: max(0, number - on_their_way)]]
    idle = sorted((each for each in staying if each.is_idle), key=lambda each: (each.is_kept, each.last_used))
    count = Counter(each.space for each in staying)
    found: list[T] = []
    while idle and len(found) < number:
        each = max(idle, key=lambda each: count[each.space])  # the first of those
        idle.remove(each)
        count[each.space] -= 1
        found.append(each.what)
    return found
