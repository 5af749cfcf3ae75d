"""The quotas of spaces as one front remembers them.

``known`` has the spaces whose calls this front has seen since their last change, with None for a space
without quotas.  A change is forgotten before it is acknowledged, so the next call reads it from the store.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from supervisor.front.functions.single_flight import SingleFlight
from supervisor.front.quotas.counter_page import CounterPage
from supervisor.front.quotas.space_quota import SpaceQuota, Spent
from supervisor.store import Lookups


class QuotaTable:
    """One per front worker."""

    def __init__(self, store: Lookups, page: CounterPage, slot: int, spent: Spent) -> None:
        self.known: dict[str, SpaceQuota | None] = {}
        # Refusals by quota, for ``/metrics``.
        self.refused = Counter[str]()
        # As of the last look into the store: log lines go by these between a change and the next call.
        self.latest: dict[str, SpaceQuota] = {}
        self._store = store
        self._page = page
        self._slot = slot
        self._spent = spent
        self._loads = SingleFlight[str]()
        self._generation: dict[str, int] = {}

    def changed(self, space: str, name: str = "") -> None:
        """Forget a space's quotas: they changed in the store."""
        self._generation[space] = self._generation.get(space, 0) + 1
        self.known.pop(space, None)

    async def of(self, space: str) -> SpaceQuota | None:
        """A space's quotas, from the table or from the store."""
        while space not in self.known:
            await self._loads.of(space, lambda: self._load(space))
        return self.known[space]

    async def used(self, space: str) -> dict[str, int]:
        """What a space has spent of its quotas that are counted here, over all fronts."""
        quota = await self.of(space)
        return {} if quota is None else quota.used()

    async def _load(self, space: str) -> None:
        generation = self._generation.get(space, 0)
        found = await asyncio.to_thread(self._store.quotas, space)
        if generation != self._generation.get(space, 0):
            return  # they changed meanwhile: whoever waits has them read again
        before = self.latest.get(space)
        if before is not None and found is not None and before.id == found.id:
            before.tell(found.limits)  # calls that run have taken from these counters
            self.known[space] = before
            return
        self.latest.pop(space, None)
        self.known[space] = None
        if found is not None:
            quota = SpaceQuota(self._page, self._slot, found, self._spent, self.refused)
            self.known[space] = self.latest[space] = quota
