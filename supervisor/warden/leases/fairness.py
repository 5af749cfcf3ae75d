"""Whose turn it is when cells are scarce, and who gives one up: pure functions of a snapshot.

A space is a tenant.  What counts is how many cells it holds, not how many it asks for: who asks for a
hundred is served no sooner than who asks for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Cells that went to others while a space waited.  After so many it comes next whatever it holds already,
# so that one whose calls are long is not kept waiting by those who come and go.
ROUNDS_MOST = 8
# A lease that has waited so long for an idle cell to be given up, seconds: there is none, so one that is
# busy makes way after its call.  A front that has an idle one answers in a millisecond or two.
FIRM_AFTER_S = 0.05
# Cells asked for at once: as many as are started at once (``policy.GROWING_AT_ONCE``).
AT_ONCE = 4


@dataclass(frozen=True)
class Asking:
    """One lease that waits: whose, and since when (seconds of the clock that ``now`` is of)."""

    space: str
    since: float


@dataclass(frozen=True)
class Plea:
    """``number`` cells have to be given up: of ``space`` even busy ones, after their calls; "": idle ones."""

    space: str
    number: int


def whose_turn(asking: Sequence[str], held: Mapping[str, int], passed: Mapping[str, int]) -> int:
    """Which of these leases (by their spaces, the oldest first, at least one) gets the next cell.

    Of the space that holds fewest, unless another has been passed over ROUNDS_MOST times.  The oldest of
    a space comes first, and so does the oldest of all where two spaces are equal.
    """
    return min(range(len(asking)), key=lambda index: _rank(asking[index], index, held, passed))


def in_turn(asking: Sequence[str], held: Mapping[str, int], passed: Mapping[str, int]) -> list[int]:
    """All of them, as the next cells would be theirs if nothing changed meanwhile."""
    return sorted(range(len(asking)), key=lambda index: _rank(asking[index], index, held, passed))


def _rank(space: str, index: int, held: Mapping[str, int], passed: Mapping[str, int]) -> tuple[int, int, int]:
    rounds = passed.get(space, 0)
    overdue = rounds if rounds >= ROUNDS_MOST else 0
    return -overdue, held.get(space, 0), index


def passed_after(served: str, asking: Sequence[str], passed: Mapping[str, int]) -> dict[str, int]:
    """How often each space that waits has been passed over, once ``served`` has had its turn."""
    return {space: passed.get(space, 0) + 1 for space in set(asking) if space != served}


def to_give_up(asking: Sequence[Asking], held: Mapping[str, int], coming: int, now: float) -> list[Plea]:
    """What is asked of the fronts while leases wait.

    For ``coming`` of them there is room, or about to be.  Idle ones come first, whosever they are.  A
    busy one is asked for only where that makes two spaces more equal, of the space that holds most, and
    only for leases that have waited FIRM_AFTER_S.
    """
    missing = min(len(asking) - coming, AT_ONCE)
    if missing <= 0:
        return []
    pleas = [Plea("", missing)]
    after = dict(held)
    givers: dict[str, int] = {}
    takers = [lease.space for lease in asking if now - lease.since >= FIRM_AFTER_S]
    while takers and sum(givers.values()) < missing:
        taker = min(takers, key=lambda space: after.get(space, 0))
        giver = max(after, key=lambda space: after[space], default=taker)
        if after.get(giver, 0) - after.get(taker, 0) < 2:  # one less here, one more there: no fairer
            break
        takers.remove(taker)
        after[giver] -= 1
        after[taker] = after.get(taker, 0) + 1
        givers[giver] = givers.get(giver, 0) + 1
    return pleas + [Plea(space, number) for space, number in givers.items()]
