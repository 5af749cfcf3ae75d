"""Changes of the store that fronts must hear of: who made one goes on when all the others know of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Collection
from typing import Protocol

from supervisor.datagrams import Link
from supervisor.link_messages import Changed, ChangeDone, ChangeRequest
from worker.message_table import Malformed

log = logging.getLogger("cellblock.leases")

# Changes of one front that the others are told of at once.  Its further ones wait, so that their links never
# fill.  No honest front has more than WAITING_MOST waiting.
ANNOUNCED_AT_ONCE = 64
WAITING_MOST = 10_000

# A front that does not acknowledge a change in this time is stuck: whoever made the change waits no longer.
ACK_SECONDS = 2.0


class Front(Protocol):
    """One that hears of changes."""

    link: Link

    def tell(self, message: object) -> bool:
        """Send; False when it is gone."""


class Changes:
    """The changes that some front has not acknowledged yet; ``fronts`` are all that there are."""

    def __init__(self, fronts: Collection[Front]) -> None:
        self._fronts = fronts
        self._epoch = 0
        self._waiting: dict[Front, deque[ChangeRequest]] = {}
        self._number: Counter[Front] = Counter()
        self._unacked: dict[int, tuple[set[Front], Front, int, asyncio.TimerHandle]] = {}

    def announce(self, asking: Front, change: ChangeRequest) -> None:
        """Tell the other fronts; the one that changed something waits until they know.  Malformed."""
        if self._number[asking] >= ANNOUNCED_AT_ONCE:
            waiting = self._waiting.setdefault(asking, deque())
            if len(waiting) >= WAITING_MOST:
                raise Malformed(f"changed: {WAITING_MOST} of them are waiting")
            waiting.append(change)
            return
        self._number[asking] += 1
        self._epoch += 1
        epoch = self._epoch
        others = {other for other in self._fronts if other is not asking}
        deadline = asyncio.get_running_loop().call_later(ACK_SECONDS, lambda: self._give_up(epoch))
        self._unacked[epoch] = (set(others), asking, change.ticket, deadline)
        told = Changed(epoch, change.what, change.space, change.name)
        for other in others:
            other.tell(told)
        self.acknowledged(asking, epoch)

    def acknowledged(self, front: Front, epoch: int) -> None:
        """A front has forgotten what it knew of it; or it is the one that asks, or it is gone."""
        waiting = self._unacked.get(epoch)
        if waiting is None:
            return
        others, asking, ticket, deadline = waiting
        others.discard(front)
        if not others:
            deadline.cancel()
            del self._unacked[epoch]
            self._done(asking, ticket)

    def _done(self, asking: Front, ticket: int) -> None:
        asking.tell(ChangeDone(ticket))
        self._number[asking] -= 1
        if asking not in self._fronts:
            self._forget(asking)
        elif waiting := self._waiting.get(asking):
            asyncio.get_running_loop().call_soon(self._next, asking, waiting)

    def _next(self, asking: Front, waiting: deque[ChangeRequest]) -> None:
        if waiting and asking in self._fronts:
            self.announce(asking, waiting.popleft())

    def _forget(self, front: Front) -> None:
        self._waiting.pop(front, None)
        if not self._number[front]:
            del self._number[front]

    def left(self, front: Front) -> None:
        """A front is gone: nobody waits for it."""
        self._forget(front)
        for epoch in list(self._unacked):
            self.acknowledged(front, epoch)

    def _give_up(self, epoch: int) -> None:
        others, asking, ticket, _ = self._unacked.pop(epoch)
        log.error("%d fronts did not acknowledge change %d: closing their links", len(others), epoch)
        # A front that may serve an old version is worse than one less front: gunicorn replaces it.
        for other in others:
            other.link.close()
        self._done(asking, ticket)
