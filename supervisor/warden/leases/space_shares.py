"""What each space has of the cells: counts for ``fairness``, and asks fronts for room while there is none."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from supervisor.link_messages import MakeRoom
from supervisor.warden.leases import fairness

# How often fronts are asked again while leases wait for room: what was busy a moment ago may be idle.
ASK_AGAIN_S = 0.05


class Holder(Protocol):
    """A front, as far as it can be asked for cells."""

    def spaces(self) -> Counter[str]:
        """How many cells of each space it holds."""

    def tell(self, message: object) -> bool:
        """Send; False when it is gone."""


class Shares:
    """One for the whole server; ``holders`` are its fronts, as they come and go."""

    def __init__(self, holders: Collection[Holder], held: Mapping[str, int]) -> None:
        """``held`` are the cells of each space, as they come and go."""
        self._holders = holders
        self._held = held
        self._passed: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._asked = 0
        # Wired by the registry: the leases that wait, and for how many of them there is room or soon will be.
        self.crowd: Callable[[], tuple[Sequence[fairness.Asking], int]] = lambda: ((), 0)

    def next(self, asking: Sequence[str]) -> int:
        """Which of these leases, by their spaces, gets the next cell; it counts as served."""
        index = fairness.whose_turn(asking, self._held, self._passed)
        rest = [*asking[:index], *asking[index + 1 :]]
        self._passed = fairness.passed_after(asking[index], rest, self._passed)
        return index

    def in_turn(self, asking: Sequence[str]) -> list[int]:
        """These leases, by their spaces, in the order in which they get cells as things stand."""
        return fairness.in_turn(asking, self._held, self._passed)

    def one_more_waits(self) -> None:
        """Ask for an idle cell now if there is no room, and again for all who wait until nobody does."""
        asking, coming = self.crowd()
        if len(asking) > coming:
            self._tell(fairness.Plea("", 1))
        if asking and self._timer is None:
            self._asked = 0
            self._timer = asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._ask)

    def _ask(self) -> None:
        self._timer = None
        asking, coming = self.crowd()
        if not asking:
            return
        loop = asyncio.get_running_loop()
        for plea in fairness.to_give_up(asking, self._held, coming, loop.time()):
            self._tell(plea)
        self._timer = loop.call_later(ASK_AGAIN_S, self._ask)

    def _tell(self, plea: fairness.Plea) -> None:
        holder = self._holder_for(plea)
        if holder is not None:
            holder.tell(MakeRoom(plea.space, plea.number))

    def _holder_for(self, plea: fairness.Plea) -> Holder | None:
        """Of a space: the front with most of it.  For idle ones each in turn, the one with most first."""
        holders = list(self._holders)
        if plea.space:
            return max(holders, key=lambda holder: holder.spaces()[plea.space], default=None)
        if not holders:
            return None
        holders.sort(key=lambda holder: -holder.spaces().total())
        self._asked += 1
        return holders[(self._asked - 1) % len(holders)]
