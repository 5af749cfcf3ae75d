"""The followers of one front's logs, as the event loop sees them: bounded places, and who has one.

A place holds what its connection has not taken yet.  When it is full, what comes is dropped and counted
until all of it was taken; then the gap is said.  So whoever reads slowly loses, knows it, and slows nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from pathlib import Path

from supervisor.errors import PlatformError, shown
from supervisor.front.following.follower_thread import Delivery, Reader, Tailing, Wanted
from supervisor.front.following.log_formats import PIECE_BYTES, SAY, Piece

# In one front.  A follower costs some 20 KiB and its part of what is sent.
FOLLOWERS_MAX = 2000
FOLLOWERS_OF_SPACE_MAX = 1000
RETRY_AFTER_S = "5"
# What a connection has not taken: of one, four rounds of a flood; of all, what a front can spare.
PLACE_MAX_BYTES = 1 << 20
PLACES_MAX_BYTES = 64 << 20
# Sent at once, beside what the transport holds (gunicorn's 64 KiB).
SEND_BYTES = PIECE_BYTES
# Proxies close what is silent for a minute.
KEEP_ALIVE_S = 15.0
LOOK_EVERY_S = 1.0
# Followers that are woken in one turn of the loop, so that calls come in between.
WOKEN_AT_ONCE = 25


class Place:
    """What one follower is to be sent."""

    def __init__(self, wanted: Wanted, cursor: str | None, since_ns: int | None, tails: Tails) -> None:
        self.wanted = wanted
        self.reader = Reader(wanted, cursor, since_ns)
        self.ended = ""
        self.lost = 0
        self.size = 0
        self.cursor = cursor or ""
        # When a piece was last taken, or said that there is none; monotonic seconds.
        self.active_at = time.monotonic()
        self._pieces: deque[Piece] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._tails = tails

    def put(self, pieces: list[Piece], *, is_own: bool = False) -> None:
        """To be sent next, or dropped and counted; never what was read for this one alone, at its pace."""
        for piece in pieces:
            self.cursor = piece.cursor or self.cursor
            is_full = self.size >= PLACE_MAX_BYTES or self._tails.size >= PLACES_MAX_BYTES
            # What has no record in it, such as a gap, is small and is never left out.
            if piece.records and not is_own and (self.lost or is_full):
                self.lost += piece.records
                continue
            self._pieces.append(piece)
            self.size += len(piece.data)
            self._tails.size += len(piece.data)
        self.wake()

    def end(self, why: str) -> None:
        """Nothing comes any more; what is here is still sent."""
        self.ended = self.ended or why
        self.wake()

    def wake(self) -> None:
        """Let whoever waits look."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> bytes:
        """What is to be sent next, as soon as there is something; b"" when that was all."""
        say = SAY[self.wanted.form]
        while not (self._pieces or self.lost or self.ended):
            self.reader.is_ready = self._tails.size < PLACES_MAX_BYTES
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
            return say.gap(lost, "slow", self.cursor)
        return b""

    def look(self, now: float) -> None:
        """Keep a silent connection alive.  One that takes nothing is ended by ``stale``, as any other."""
        if self._waiter is not None:
            self.reader.is_ready = self._tails.size < PLACES_MAX_BYTES
            if now - self.active_at >= KEEP_ALIVE_S and self.cursor:
                self.put([Piece(SAY[self.wanted.form].position(self.cursor), 0, self.cursor)])

    def forget(self) -> None:
        """Its follower is gone."""
        self._tails.size -= self.size
        self.size = 0
        self._pieces.clear()

    def _popped(self) -> bytes:
        data = self._pieces.popleft().data
        self.size -= len(data)
        self._tails.size -= len(data)
        return data


class Tails:
    """All followers of one front; used from its event loop only."""

    def __init__(self, root: Path) -> None:
        """``root`` is the folder of all logs."""
        self.size = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: dict[Reader, Place] = {}
        self._of_space: Counter[str] = Counter()
        self._tailing = Tailing(root, self._from_thread)
        self._is_draining = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._places)

    def check_room(self, space: str) -> None:
        """PlatformError 429 when the space has its followers, 503 when the front has."""
        if self._of_space[space] >= FOLLOWERS_OF_SPACE_MAX:
            raise PlatformError(
                429,
                f"space {shown(space)} has {FOLLOWERS_OF_SPACE_MAX} followers of logs already; end one",
                {"limit": FOLLOWERS_OF_SPACE_MAX},
                {"Retry-After": RETRY_AFTER_S},
            )
        if self._is_draining or len(self._places) >= FOLLOWERS_MAX:
            why = "is draining" if self._is_draining else f"has {FOLLOWERS_MAX} followers of logs already"
            raise PlatformError(503, f"the server {why}; try again", headers={"Retry-After": RETRY_AFTER_S})

    def open(self, wanted: Wanted, cursor: str | None, since_ns: int | None = None) -> Place:
        """A place, from behind the cursor, from a time, or from now on.  PlatformError as ``check_room``."""
        self.check_room(wanted.space)
        place = Place(wanted, cursor, since_ns, self)
        self._places[place.reader] = place
        self._of_space[wanted.space] += 1
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        return place

    def begin(self, place: Place) -> None:
        """Its history was sent: follow now."""
        self._tailing.join(place.reader)

    def close(self, place: Place) -> None:
        """Its follower is gone."""
        if self._places.pop(place.reader, None) is not None:
            self._of_space[place.wanted.space] -= 1
            if not self._of_space[place.wanted.space]:
                del self._of_space[place.wanted.space]
            place.forget()
            self._tailing.leave(place.reader)

    def deleted(self, space: str, name: str) -> None:
        """A function is gone: its followers are told and let go."""
        for place in self._places.values():
            if place.wanted[:2] == (space, name):
                place.end("deleted")

    def drain(self) -> None:
        """The server ends: all are told and let go, to go on at another one."""
        self._is_draining = True
        for place in self._places.values():
            place.end("draining")

    def _look(self) -> None:
        assert self._loop is not None
        now = time.monotonic()
        for place in list(self._places.values()):
            place.look(now)
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look) if self._places else None

    def _from_thread(self, out: list[Delivery]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, out)
        except RuntimeError:  # the loop is closed: the process ends
            self._tailing.handed()

    def _deliver(self, out: list[Delivery]) -> None:
        """Some of it now, the rest in the loop's next turns."""
        assert self._loop is not None
        room = WOKEN_AT_ONCE
        while out and room > 0:
            readers, pieces, is_own, ended = out.pop(0)
            if len(readers) > room:
                out.insert(0, Delivery(readers[room:], pieces, is_own, ended))
                readers = readers[:room]
            room -= len(readers)
            for reader in readers:
                place = self._places.get(reader)
                if place is not None:
                    place.put(pieces, is_own=is_own)
                    if ended:
                        place.end(ended)
        if out:
            self._loop.call_soon(self._deliver, out)
        else:
            self._tailing.handed()
