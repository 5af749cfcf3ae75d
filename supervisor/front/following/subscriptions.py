"""The followers of one front's logs, as the event loop sees them; their number and size are bounded.

A subscription holds what its connection has not taken yet.  When it is full, new records are dropped and
counted until the connection has taken everything; then it is told of the gap.  So a follower that reads
slowly loses records, knows it, and slows nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from pathlib import Path

from supervisor.errors import PlatformError, shown
from supervisor.front.following.follower_thread import Delivery, FollowerThread, FollowRequest, LogReader
from supervisor.front.following.log_formats import FORMATS, PIECE_BYTES, Piece

# In one front.  A follower costs some 20 KiB, and what it has not taken.
FOLLOWERS_MAX = 2000
FOLLOWERS_OF_SPACE_MAX = 1000
RETRY_AFTER_S = "5"
# Bytes that connections have not taken: one may hold four rounds of a flood, all together what a front can
# spare.
SUBSCRIPTION_MAX_BYTES = 1 << 20
ALL_MAX_BYTES = 64 << 20
# At most this is sent at once, beside the 64 KiB that the transport holds.
SEND_BYTES = PIECE_BYTES
# Proxies close a connection that is silent for a minute.
KEEP_ALIVE_S = 15.0
LOOK_EVERY_S = 1.0
# At most so many followers are woken in one turn of the loop, so that calls get their turns.
WOKEN_AT_ONCE = 25


class Subscription:
    """One follower: what it wants, and what it has not taken yet."""

    def __init__(
        self, wanted: FollowRequest, cursor: str | None, since_ns: int | None, owner: Subscriptions
    ) -> None:
        self.wanted = wanted
        self.reader = LogReader(wanted, cursor, since_ns)
        self.ended = ""
        self.lost = 0
        self.size = 0
        self.cursor = cursor or ""
        self.active_at = time.monotonic()  # when a piece was last taken
        self._pieces: deque[Piece] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._owner = owner

    def put(self, pieces: list[Piece], *, is_own: bool = False) -> None:
        """Queue pieces, or drop and count them; never ``is_own`` ones, read for this follower alone."""
        for piece in pieces:
            self.cursor = piece.cursor or self.cursor
            is_full = self.size >= SUBSCRIPTION_MAX_BYTES or self._owner.size >= ALL_MAX_BYTES
            # A piece without a record, such as a gap, is small and is never dropped.
            if piece.records and not is_own and (self.lost or is_full):
                self.lost += piece.records
                continue
            self._pieces.append(piece)
            self.size += len(piece.data)
            self._owner.size += len(piece.data)
        self.wake()

    def end(self, why: str) -> None:
        """Take nothing more; what is queued is still sent."""
        self.ended = self.ended or why
        self.wake()

    def wake(self) -> None:
        """Wake ``take``."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> bytes:
        """Wait for the next bytes to send; b"" at the end."""
        form = FORMATS[self.wanted.form]
        while not (self._pieces or self.lost or self.ended):
            self.reader.is_ready = self._owner.size < ALL_MAX_BYTES
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self.active_at = time.monotonic()
        if self._pieces:
            parts = [self._popped()]
            size = len(parts[0])
            while self._pieces and size + len(self._pieces[0].data) <= SEND_BYTES:
                parts.append(self._popped())
                size += len(parts[-1])
            return b"".join(parts)
        if self.lost:
            lost, self.lost = self.lost, 0
            return form.gap(lost, "slow", self.cursor)
        return b""

    def look(self, now: float) -> None:
        """Keep a silent connection alive.  ``connection_waits`` ends one that takes nothing, as any other."""
        if self._waiter is not None:
            self.reader.is_ready = self._owner.size < ALL_MAX_BYTES
            if now - self.active_at >= KEEP_ALIVE_S and self.cursor:
                self.put([Piece(FORMATS[self.wanted.form].position(self.cursor), 0, self.cursor)])

    def forget(self) -> None:
        """Drop what is queued: the follower is gone."""
        self._owner.size -= self.size
        self.size = 0
        self._pieces.clear()

    def _popped(self) -> bytes:
        data = self._pieces.popleft().data
        self.size -= len(data)
        self._owner.size -= len(data)
        return data


class Subscriptions:
    """All followers of one front; used from its event loop only."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder of all logs."""
        self.size = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._by_reader: dict[LogReader, Subscription] = {}
        self._of_space: Counter[str] = Counter()
        self._thread = FollowerThread(root, self._from_thread)
        self._is_draining = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._by_reader)

    def check_room(self, space: str) -> None:
        """PlatformError 429 if the space has too many followers, 503 if the front has, or drains."""
        if self._of_space[space] >= FOLLOWERS_OF_SPACE_MAX:
            raise PlatformError(
                429,
                f"space {shown(space)} has {FOLLOWERS_OF_SPACE_MAX} followers of logs already; end one",
                {"limit": FOLLOWERS_OF_SPACE_MAX},
                {"Retry-After": RETRY_AFTER_S},
            )
        if self._is_draining or len(self._by_reader) >= FOLLOWERS_MAX:
            why = "is draining" if self._is_draining else f"has {FOLLOWERS_MAX} followers of logs already"
            raise PlatformError(503, f"the server {why}; try again", headers={"Retry-After": RETRY_AFTER_S})

    def open(self, wanted: FollowRequest, cursor: str | None, since_ns: int | None = None) -> Subscription:
        """Subscribe from behind a cursor, from a time, or from now on.  PlatformError as ``check_room``."""
        self.check_room(wanted.space)
        subscription = Subscription(wanted, cursor, since_ns, self)
        self._by_reader[subscription.reader] = subscription
        self._of_space[wanted.space] += 1
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        return subscription

    def begin(self, subscription: Subscription) -> None:
        """Begin to follow: the history was sent."""
        self._thread.join(subscription.reader)

    def close(self, subscription: Subscription) -> None:
        """End a subscription whose follower is gone; calling it again does nothing."""
        if self._by_reader.pop(subscription.reader, None) is not None:
            self._of_space[subscription.wanted.space] -= 1
            if not self._of_space[subscription.wanted.space]:
                del self._of_space[subscription.wanted.space]
            subscription.forget()
            self._thread.leave(subscription.reader)

    def deleted(self, space: str, name: str) -> None:
        """End the subscriptions of a function, or with ``name`` "" of a space, that was deleted."""
        for subscription in self._by_reader.values():
            if subscription.wanted.space == space and name in ("", subscription.wanted.name):
                subscription.end("deleted")

    def drain(self) -> None:
        """End all subscriptions, as the server does; their followers go on at another one."""
        self._is_draining = True
        self.end_all()

    def end_all(self) -> None:
        """End those of now; a follower may come again with a token that is known."""
        for subscription in self._by_reader.values():
            subscription.end("draining")

    def _look(self) -> None:
        assert self._loop is not None
        now = time.monotonic()
        for subscription in list(self._by_reader.values()):
            subscription.look(now)
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look) if self._by_reader else None

    def _from_thread(self, out: list[Delivery]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, out)
        except RuntimeError:  # the loop is closed: the process ends
            self._thread.delivered()

    def _deliver(self, out: list[Delivery]) -> None:
        """Queue some of it now, the rest in the loop's next turns."""
        assert self._loop is not None
        room = WOKEN_AT_ONCE
        while out and room > 0:
            readers, pieces, is_own, ended = out.pop(0)
            if len(readers) > room:
                out.insert(0, Delivery(readers[room:], pieces, is_own, ended))
                readers = readers[:room]
            room -= len(readers)
            for reader in readers:
                subscription = self._by_reader.get(reader)
                if subscription is not None:
                    subscription.put(pieces, is_own=is_own)
                    if ended:
                        subscription.end(ended)
        if out:
            self._loop.call_soon(self._deliver, out)
        else:
            self._thread.delivered()
