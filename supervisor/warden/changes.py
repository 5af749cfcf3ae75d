"""Changes of functions and values: every front knows before the one that made it goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol

from supervisor.datagrams import Link, Message

log = logging.getLogger("cellblock.leases")

# A front that does not acknowledge a change in this time is stuck; its callers wait no longer.
ACK_SECONDS = 2.0


class Front(Protocol):
    """One that hears of changes."""

    link: Link

    def tell(self, message: Message) -> bool:
        """Send; False when it is gone."""


class Changes:
    """Those announced and not yet acknowledged by everybody; ``fronts`` are all that there are."""

    def __init__(self, fronts: Collection[Front]) -> None:
        self._fronts = fronts
        self._epoch = 0
        self._unacked: dict[int, tuple[set[Front], Front, int, asyncio.TimerHandle]] = {}

    def announce(self, asking: Front, ticket: int, space: str, name: str) -> None:
        """Tell the other fronts; the one that changed something waits until they know."""
        self._epoch += 1
        epoch = self._epoch
        others = {other for other in self._fronts if other is not asking}
        deadline = asyncio.get_running_loop().call_later(ACK_SECONDS, lambda: self._give_up(epoch))
        self._unacked[epoch] = (set(others), asking, ticket, deadline)
        told = {"is": "changed", "epoch": epoch, "space": space, "name": name}
        for other in others:
            other.tell(told)
        self.acknowledged(asking, epoch)

    def acknowledged(self, front: Front, epoch: int) -> None:
        """A front has forgotten what it knew; or is the one that asks, or is gone."""
        waiting = self._unacked.get(epoch)
        if waiting is None:
            return
        others, asking, ticket, deadline = waiting
        others.discard(front)
        if not others:
            deadline.cancel()
            del self._unacked[epoch]
            asking.tell({"is": "done", "ticket": ticket})

    def left(self, front: Front) -> None:
        """A front is gone: nobody waits for it."""
        for epoch in list(self._unacked):
            self.acknowledged(front, epoch)

    def _give_up(self, epoch: int) -> None:
        others, asking, ticket, _ = self._unacked.pop(epoch)
        log.error("%d fronts did not acknowledge change %d: closing their links", len(others), epoch)
        # A front that may serve an old version is worse than one less front: gunicorn replaces it.
        for other in others:
            other.link.close()
        asking.tell({"is": "done", "ticket": ticket})
