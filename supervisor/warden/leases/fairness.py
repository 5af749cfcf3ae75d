"""Which space gets the next cell when cells are scarce, and which gives one up: pure functions of a snapshot.

A space is a tenant.  Its turn depends on how many cells it holds, not on how many it asks for: a space that
asks for a hundred cells is served no sooner than one that asks for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from supervisor.warden.supply.blank_target import GROWING_AT_ONCE

# After this many cells have gone to other spaces, a waiting space comes next, whatever it holds.  Otherwise
# spaces with short calls, which return their cells again and again, would keep one with long calls waiting.
ROUNDS_MOST = 8
# A front gives up an idle cell in a millisecond or two.  If a lease has waited this long there is no idle
# cell, so a busy one has to make way after its call.
BUSY_AFTER_S = 0.05


class WaitingLease(NamedTuple):
    """A lease that waits for a cell: its space, and since when (on the clock of ``now``)."""

    space: str
    since: float


class ReclaimPlan(NamedTuple):
    """``number`` cells that fronts shall give up.

    Of ``space``, even busy ones after their calls; if ``space`` is "", idle ones of any space.
    """

    space: str
    number: int


def whose_turn(asking: Sequence[str], held: Mapping[str, int], passed: Mapping[str, int]) -> int:
    """The index of the lease that gets the next cell.

    ``asking`` are the leases' spaces, the oldest lease first.  The next cell goes to the space that holds the
    fewest, unless another space has been passed over ROUNDS_MOST times.  Within a space, and between equal
    spaces, the oldest lease comes first.
    """
    return min(range(len(asking)), key=lambda index: _rank(asking[index], index, held, passed))


def in_turn(asking: Sequence[str], held: Mapping[str, int], passed: Mapping[str, int]) -> list[int]:
    """The indices of all leases, in the order in which they would get cells as things stand."""
    return sorted(range(len(asking)), key=lambda index: _rank(asking[index], index, held, passed))


def _rank(space: str, index: int, held: Mapping[str, int], passed: Mapping[str, int]) -> tuple[int, int, int]:
    rounds = passed.get(space, 0)
    overdue = rounds if rounds >= ROUNDS_MOST else 0
    return -overdue, held.get(space, 0), index


def passed_after(served: str, asking: Sequence[str], passed: Mapping[str, int]) -> dict[str, int]:
    """Space → how often it has been passed over, after ``served`` has had its turn."""
    return {space: passed.get(space, 0) + 1 for space in set(asking) if space != served}


def reclaim_plans(
    asking: Sequence[WaitingLease], held: Mapping[str, int], coming: int, now: float
) -> list[ReclaimPlan]:
    """What to ask of the fronts while leases wait.

    For ``coming`` of the leases a cell is there or on its way.  Idle cells are asked for first, of any space.
    A busy cell is asked for only for a lease that has waited BUSY_AFTER_S, only of the space that holds most,
    and only if that makes the two spaces more equal.
    """
    missing = min(len(asking) - coming, GROWING_AT_ONCE)
    if missing <= 0:
        return []
    plans = [ReclaimPlan("", missing)]
    after = dict(held)
    givers: dict[str, int] = {}
    takers = [lease.space for lease in asking if now - lease.since >= BUSY_AFTER_S]
    while takers and sum(givers.values()) < missing:
        taker = min(takers, key=lambda space: after.get(space, 0))
        giver = max(after, key=lambda space: after[space], default=taker)
        if after.get(giver, 0) - after.get(taker, 0) < 2:  # one less here, one more there: no fairer
            break
        takers.remove(taker)
        after[giver] -= 1
        after[taker] = after.get(taker, 0) + 1
        givers[giver] = givers.get(giver, 0) + 1
    return plans + [ReclaimPlan(space, number) for space, number in givers.items()]
