"""The thread that reads logs for all followers of one front: each log once, however many follow it.

Followers with the same request share a *channel*, whose records are read, selected and encoded once.  A
follower that starts further back reads from the disk by itself until it has caught up with its channel; it
gets a page whenever it has sent the last one.  The thread hands what it read to the event loop, which alone
knows connections, and never waits for a connection.
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

from supervisor.front.following.log_formats import FORMATS, Form, Piece
from supervisor.logs import Follower, Followers, Query
from supervisor.logs.reading.follower import REFRESH_S
from supervisor.server_log import Complaint

log = logging.getLogger("cellblock.logs")

# A little longer than the store's refresh; else every other round would come too early to see anything new.
ROUND_S = REFRESH_S * 1.1
# The thread works at most this share of the time: a long pause follows a long round.
SHARE = 0.25
# In each round, followers that catch up get at most this time; the others wait meanwhile.
CATCH_UP_S = 0.02
# A round reads at most so much of a channel, in steps of so many records, so that a follower can take one
# part of a burst before the next.  What is beyond it is read in a later round.
ROUND_BYTES = 256 * 1024
STEP_RECORDS = 50
# What a step counts as that looked at records and found none that was wanted.
STEP_BYTES = 4096
# The event loop takes a delivery within a turn; if it hangs, the thread goes on after this time.
DELIVERY_SECONDS = 5.0
FAILED = "failed"


class FollowRequest(NamedTuple):
    """What a follower wants, and in which form; ``name`` None is the whole space.

    A ``since`` in the past belongs to ``LogReader``: here it would keep followers out of the same channel.
    """

    space: str
    name: str | None
    query: Query
    form: Form


@dataclass(eq=False, repr=False)
class LogReader:
    """One follower, as the thread sees it; the event loop sets ``is_ready`` when it wants the next page."""

    wanted: FollowRequest
    cursor: str | None
    since_ns: int | None = None
    follower: Follower | None = None
    is_ready: bool = True


@dataclass(eq=False, repr=False)
class _Channel:
    follower: Follower
    readers: list[LogReader] = field(default_factory=list)


class Delivery(NamedTuple):
    """Pieces for some readers; ``is_own``: one reader's page; ``ended`` says why no more will come, or ""."""

    readers: tuple[LogReader, ...]
    pieces: list[Piece]
    is_own: bool = False
    ended: str = ""


class FollowerThread:
    """Reads for all followers; ``deliver`` gets what was read, and calls ``delivered`` once it is taken."""

    def __init__(self, root: Path, deliver: Callable[[list[Delivery]], None]) -> None:
        self._followers = Followers(root)
        self._deliver = deliver
        self._wake = threading.Condition()
        self._coming: deque[LogReader] = deque()
        self._leaving: deque[LogReader] = deque()
        self._is_delivered = threading.Event()
        self._channels: dict[FollowRequest, _Channel] = {}
        self._behind: deque[LogReader] = deque()
        self._out: list[Delivery] = []
        self._thread: threading.Thread | None = None
        self._complaint = Complaint(log)

    def join(self, reader: LogReader) -> None:
        """Read for this follower too."""
        with self._wake:
            self._coming.append(reader)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="tails", daemon=True)
                self._thread.start()
            self._wake.notify()

    def leave(self, reader: LogReader) -> None:
        """Stop reading for this follower."""
        with self._wake:
            self._leaving.append(reader)
            self._wake.notify()

    def delivered(self) -> None:
        """Note that the event loop has taken the last delivery."""
        self._is_delivered.set()

    # ---- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            with self._wake:
                if self._channels or self._behind:
                    # A new follower does not cut the pause short, so that SHARE holds.
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
                self._is_delivered.clear()
                self._deliver(out)
                self._is_delivered.wait(DELIVERY_SECONDS)
            pause_s = max(ROUND_S, (time.monotonic() - started) / SHARE)

    def _let_go(self, leaving: deque[LogReader], coming: deque[LogReader]) -> None:
        for reader in leaving:
            if reader in coming:
                coming.remove(reader)
            elif reader in self._behind:
                self._behind.remove(reader)
                self._close(reader)
            else:
                self._leave_channel(reader)

    def _leave_channel(self, reader: LogReader) -> None:
        channel = self._channels.get(reader.wanted)
        if channel is not None and reader in channel.readers:
            channel.readers.remove(reader)
            if not channel.readers:
                channel.follower.close()
                del self._channels[reader.wanted]

    def _close(self, reader: LogReader) -> None:
        if reader.follower is not None:
            reader.follower.close()
            reader.follower = None

    def _read_on(self, wanted: FollowRequest) -> None:
        """Read what is new in a channel, for all its readers."""
        channel = self._channels[wanted]
        try:
            size = 0
            while size < ROUND_BYTES:
                batch = channel.follower.poll(STEP_RECORDS)
                if batch.records or batch.gap:
                    pieces = FORMATS[wanted.form].pieces(batch)
                    size += sum(len(piece.data) for piece in pieces)
                    self._out.append(Delivery(tuple(channel.readers), pieces))
                if not batch.more:
                    break
                if not batch.records:
                    size += STEP_BYTES  # records were looked at, and none was wanted
        except OSError as error:
            self._complain(wanted, error)
        except Exception:
            # One of this thread's two last resorts: a bug of ours ends these followers, who come again.
            log.exception("following %s/%s: our own mistake", wanted.space, wanted.name)
            del self._channels[wanted]
            self._out.append(Delivery(tuple(channel.readers), [], ended=FAILED))

    def _catch_up(self, deadline: float) -> None:
        """Read a page for each follower that is behind, in turn, until the deadline."""
        for _ in range(len(self._behind)):
            if time.monotonic() > deadline:
                break
            reader = self._behind.popleft()
            if not reader.is_ready:  # it has not sent its last page yet
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

    def _step(self, reader: LogReader) -> bool:
        """Read a page for a follower that is behind; returns whether it has joined its channel."""
        wanted = reader.wanted
        channel = self._channels.get(wanted)
        if reader.follower is None:
            if reader.cursor is None and channel is not None and reader.since_ns is None:
                return self._join_channel(reader, channel)  # it follows from now on
            space, name, query, _ = wanted
            if reader.since_ns is not None:
                query = replace(query, since=reader.since_ns)
            reader.follower = self._followers.follow(space, name, query, reader.cursor)
        batch = reader.follower.poll(2 * STEP_RECORDS)
        if batch.records or batch.gap:
            reader.is_ready = False
            self._out.append(Delivery((reader,), FORMATS[wanted.form].pieces(batch), is_own=True))
        if batch.more:
            return False
        if channel is None:
            if not reader.follower.is_beside(reader.follower):  # it still reads from the disk
                return False
            channel = self._channels[wanted] = _Channel(reader.follower)
            reader.follower = None
            return self._join_channel(reader, channel)
        if not reader.follower.is_beside(channel.follower):
            self._read_on(wanted)
        if wanted in self._channels and reader.follower.is_beside(channel.follower):
            self._close(reader)
            return self._join_channel(reader, channel)
        return False

    def _join_channel(self, reader: LogReader, channel: _Channel) -> bool:
        channel.readers.append(reader)
        cursor = channel.follower.cursor
        position = FORMATS[reader.wanted.form].position(cursor)
        self._out.append(Delivery((reader,), [Piece(position, 0, cursor)]))
        return True

    def _complain(self, wanted: FollowRequest, error: OSError) -> None:
        self._complaint.warn(
            "cannot read the log of %s/%s: %s; its followers wait",
            wanted.space, wanted.name or "*", error.strerror,
        )  # fmt: skip
