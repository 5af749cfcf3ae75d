"""The thread that reads for all followers of one front: each function once, however many follow it.

Followers of the same thing share a *channel*, whose records are read, selected and rendered once.  A
follower that starts further back reads from the disk by itself, a page whenever it has sent the last one,
until it stands where its channel stands.  What comes is handed to the event loop, which alone knows
connections; nothing here waits for one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from supervisor.front.following.log_formats import SAY, Form, Piece
from supervisor.logs import Follower, Followers, Query
from supervisor.logs.reading.follower import REFRESH_S

log = logging.getLogger("cellblock.logs")

# A little more than the store's own, or every other round would come too early to see anything.
ROUND_S = REFRESH_S * 1.1
# Of the time at most: a round that takes long is followed by a longer pause.
SHARE = 0.25
# Of one round: what those who start further back may take from those who are up to date.
CATCH_UP_S = 0.02
# Of a channel in one round, in steps of so many records: a burst comes in parts that a follower who reads
# can take in between.  A flood beyond it is read later and not lost.
ROUND_BYTES = 256 * 1024
STEP_RECORDS = 50
# What a step counts for at least that found nothing.
STEP_BYTES = 4096
# The event loop takes what it is given within a turn; should it hang, this thread looks again.
HANDED_SECONDS = 5.0
COMPLAIN_EVERY_S = 60.0
FAILED = "failed"


class Wanted(NamedTuple):
    """What somebody follows, and how it is to be said; ``name`` None is the whole space.

    A ``since`` that is over belongs to its reader and not in here: it would tell followers of the same apart.
    """

    space: str
    name: str | None
    query: Query
    form: Form


@dataclass(eq=False)
class Reader:
    """One follower as the thread sees it; the event loop sets ``is_ready`` when it wants the next page."""

    wanted: Wanted
    cursor: str | None
    since_ns: int | None = None
    follower: Follower | None = None
    is_ready: bool = True


@dataclass
class _Channel:
    follower: Follower
    readers: list[Reader] = field(default_factory=list)


class Delivery(NamedTuple):
    """Pieces for some readers; ``is_own``: one reader's page; ``ended`` says why no more will come."""

    readers: tuple[Reader, ...]
    pieces: list[Piece]
    is_own: bool = False
    ended: str = ""


class Tailing:
    """Reads for all; ``hand`` is called with what was read, and calls ``handed`` when it was taken."""

    def __init__(self, root: Path, hand: Callable[[list[Delivery]], None]) -> None:
        self._followers = Followers(root)
        self._hand = hand
        self._wake = threading.Condition()
        self._coming: deque[Reader] = deque()
        self._leaving: deque[Reader] = deque()
        self._handed = threading.Event()
        self._channels: dict[Wanted, _Channel] = {}
        self._behind: deque[Reader] = deque()
        self._out: list[Delivery] = []
        self._thread: threading.Thread | None = None
        self._complained_at = -COMPLAIN_EVERY_S

    def join(self, reader: Reader) -> None:
        """Read for it too."""
        with self._wake:
            self._coming.append(reader)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="tails", daemon=True)
                self._thread.start()
            self._wake.notify()

    def leave(self, reader: Reader) -> None:
        """Read for it no more."""
        with self._wake:
            self._leaving.append(reader)
            self._wake.notify()

    def handed(self) -> None:
        """What was handed over has been taken."""
        self._handed.set()

    # ---- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            with self._wake:
                if self._channels or self._behind:
                    # Not cut short by who comes: the share holds.
                    self._wake.wait_for(lambda: False, pause_s)
                else:
                    self._wake.wait_for(lambda: self._coming)
                coming, self._coming = self._coming, deque()
                leaving, self._leaving = self._leaving, deque()
            started = time.monotonic()
            self._let_go(leaving, coming)
            self._behind.extend(coming)
            for wanted in list(self._channels):
                self._read_on(wanted)
            self._catch_up(started + CATCH_UP_S)
            if self._out:
                out, self._out = self._out, []
                self._handed.clear()
                self._hand(out)
                self._handed.wait(HANDED_SECONDS)
            pause_s = max(ROUND_S, (time.monotonic() - started) / SHARE)

    def _let_go(self, leaving: deque[Reader], coming: deque[Reader]) -> None:
        for reader in leaving:
            if reader in coming:
                coming.remove(reader)
            elif reader in self._behind:
                self._behind.remove(reader)
                self._close(reader)
            else:
                self._leave_channel(reader)

    def _leave_channel(self, reader: Reader) -> None:
        channel = self._channels.get(reader.wanted)
        if channel is not None and reader in channel.readers:
            channel.readers.remove(reader)
            if not channel.readers:
                channel.follower.close()
                del self._channels[reader.wanted]

    def _close(self, reader: Reader) -> None:
        if reader.follower is not None:
            reader.follower.close()
            reader.follower = None

    def _read_on(self, wanted: Wanted) -> None:
        """What is new in a channel, for all its readers."""
        channel = self._channels[wanted]
        try:
            size = 0
            while size < ROUND_BYTES:
                batch = channel.follower.poll(STEP_RECORDS)
                if batch.records or batch.gap:
                    pieces = SAY[wanted.form].pieces(batch)
                    size += sum(len(piece.data) for piece in pieces)
                    self._out.append(Delivery(tuple(channel.readers), pieces))
                if not batch.more:
                    break
                if not batch.records:
                    size += STEP_BYTES  # looked at, and not what is wanted
        except OSError as error:
            self._complain(wanted, error)
        except Exception:
            # One of this thread's two doors: a mistake of ours ends these followers, who come again.
            log.exception("following %s/%s: our own mistake", wanted.space, wanted.name)
            del self._channels[wanted]
            self._out.append(Delivery(tuple(channel.readers), [], ended=FAILED))

    def _catch_up(self, deadline: float) -> None:
        """Each that is behind a page further, in turn, as far as the time goes."""
        for _ in range(len(self._behind)):
            if time.monotonic() > deadline:
                break
            reader = self._behind.popleft()
            if not reader.is_ready:  # it still has something to send
                self._behind.append(reader)
                continue
            try:
                if not self._step(reader):
                    self._behind.append(reader)
            except OSError as error:
                self._complain(reader.wanted, error)
                self._behind.append(reader)
            except Exception:
                wanted = reader.wanted
                log.exception("following %s/%s: our own mistake", wanted.space, wanted.name)
                self._close(reader)
                self._out.append(Delivery((reader,), [], ended=FAILED))

    def _step(self, reader: Reader) -> bool:
        """A page for one that is behind; whether it goes on with its channel."""
        wanted = reader.wanted
        channel = self._channels.get(wanted)
        if reader.follower is None:
            if reader.cursor is None and channel is not None and reader.since_ns is None:
                return self._is_live(reader, channel)  # from now on is from where the channel stands
            space, name, query, _ = wanted
            if reader.since_ns is not None:
                query = replace(query, since=reader.since_ns)
            reader.follower = self._followers.follow(space, name, query, reader.cursor)
        batch = reader.follower.poll(2 * STEP_RECORDS)
        if batch.records or batch.gap:
            reader.is_ready = False
            self._out.append(Delivery((reader,), SAY[wanted.form].pieces(batch), is_own=True))
        if batch.more:
            return False
        if channel is None:
            if not reader.follower.is_beside(reader.follower):  # it reads from disk still
                return False
            channel = self._channels[wanted] = _Channel(reader.follower)
            reader.follower = None
            return self._is_live(reader, channel)
        if not reader.follower.is_beside(channel.follower):
            self._read_on(wanted)
        if wanted in self._channels and reader.follower.is_beside(channel.follower):
            self._close(reader)
            return self._is_live(reader, channel)
        return False

    def _is_live(self, reader: Reader, channel: _Channel) -> bool:
        channel.readers.append(reader)
        cursor = channel.follower.cursor
        self._out.append(Delivery((reader,), [Piece(SAY[reader.wanted.form].position(cursor), 0, cursor)]))
        return True

    def _complain(self, wanted: Wanted, error: OSError) -> None:
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            log.warning(
                "cannot read the log of %s/%s: %s; its followers wait",
                wanted.space, wanted.name or "*", error.strerror,
            )  # fmt: skip
