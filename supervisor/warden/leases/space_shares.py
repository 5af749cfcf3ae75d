"""Keeps the counts that ``fairness`` decides by, and asks fronts to give up cells while leases wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from supervisor.link_messages import MakeRoom
from supervisor.warden.leases import fairness

# How often fronts are asked again while leases wait: a cell that was busy may be idle now.
ASK_AGAIN_S = 0.05


class CellHolder(Protocol):
    """A front, as far as it is asked for cells here."""

    def spaces(self) -> Counter[str]:
        """Space → how many of its cells this front holds."""

    def tell(self, message: object) -> bool:
        """Send a message.  False if the front is gone."""


class SpaceShares:
    """One for the whole server.  ``holders`` are its fronts, as they come and go."""

    def __init__(self, holders: Collection[CellHolder], held: Mapping[str, int]) -> None:
        """``held`` maps each space to the number of its cells, as they come and go."""
        self._holders = holders
        self._held = held
        self._passed: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._asked = 0
        # Set by the registry: gives the waiting leases, and for how many of them a cell is there or on its
        # way.
        self.waiting_leases: Callable[[], tuple[Sequence[fairness.WaitingLease], int]] = lambda: ((), 0)

    def next(self, asking: Sequence[str]) -> int:
        """The index of the lease that gets the next cell.

        ``asking`` are their spaces.  Counts it as served.
        """
        index = fairness.whose_turn(asking, self._held, self._passed)
        rest = [*asking[:index], *asking[index + 1 :]]
        self._passed = fairness.passed_after(asking[index], rest, self._passed)
        return index

    def in_turn(self, asking: Sequence[str]) -> list[int]:
        """The indices of all leases, in the order in which they would get cells as things stand."""
        return fairness.in_turn(asking, self._held, self._passed)

    def one_more_waits(self) -> None:
        """Note that a lease begins to wait.

        Where there is no room, a front is asked for an idle cell, and again while leases wait.
        """
        asking, coming = self.waiting_leases()
        if len(asking) > coming:
            self._tell(fairness.ReclaimPlan("", 1))
        if asking and self._timer is None:
            self._asked = 0
            self._timer = asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._ask)

    def _ask(self) -> None:
        self._timer = None
        asking, coming = self.waiting_leases()
        if not asking:
            return
        loop = asyncio.get_running_loop()
        for plan in fairness.reclaim_plans(asking, self._held, coming, loop.time()):
            self._tell(plan)
        self._timer = loop.call_later(ASK_AGAIN_S, self._ask)

    def _tell(self, plan: fairness.ReclaimPlan) -> None:
        holder = self._holder_for(plan)
        if holder is not None:
            holder.tell(MakeRoom(plan.space, plan.number))

    def _holder_for(self, plan: fairness.ReclaimPlan) -> CellHolder | None:
        """The front to ask.  For a space: the one with most of its cells.  For idle cells: each in turn."""
        holders = list(self._holders)
        if plan.space:
            return max(holders, key=lambda holder: holder.spaces()[plan.space], default=None)
        if not holders:
            return None
        holders.sort(key=lambda holder: -holder.spaces().total())
        self._asked += 1
        return holders[(self._asked - 1) % len(holders)]
