"""Messages with descriptors over a SEQPACKET socket: how the warden talks with fronts, zygotes and cells.

Tenant code never has such a socket, so a tenant can pass no descriptor at us.  A front reads from the
network and may have been taken over: what is no message of the channel's table ends the link that it came
over.  The tables are ``link_messages``, ``join_messages``, and the worker's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgpack

from worker.message_table import Malformed, MessageTable

MESSAGE_MAX_BYTES = 32 * 1024
DESCRIPTORS_MAX = 8
# Messages waiting for a peer that does not read; one that is this far behind is lost.
OUTBOX_MAX = 10_000
# Rows of a long answer go page by page; what else is in such a message fits into the rest.
PAGE_BYTES = MESSAGE_MAX_BYTES - 4 * 1024

# One end takes messages for so long in a turn of the loop, and then lets as much time pass.  So a peer that
# sends without end has at most half of the loop.  A message takes tens of microseconds.
TURN_SECONDS = 0.005

# A plain number: the flags of the library's enumeration take microseconds.
_CUT = int(socket.MSG_TRUNC)

# A message as it travels (``worker.message_table``).
Plain = dict[str, Any]


class LinkClosed(Exception):
    """The peer is gone, or so far behind that it is as good as gone."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, close-on-exec; the first non-blocking, for a Link."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ours.setblocking(False)
    return ours, theirs


def receive(sock: socket.socket) -> tuple[Plain, list[int]] | None:
    """One map and its descriptors; ``None`` when the peer has closed.

    Raises BlockingIOError when there is none yet.  Raises Malformed for what is no map, after the
    descriptors that came with it were closed.
    """
    data, ancillary, flags, _ = sock.recvmsg(
        MESSAGE_MAX_BYTES, socket.CMSG_SPACE(4 * DESCRIPTORS_MAX), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    if not data:
        discard(descriptors)
        return None
    try:
        # From here on the bytes are hostile.
        return _plain(data, bool(flags & _CUT)), list(descriptors)
    except Malformed:
        discard(descriptors)
        raise


def _plain(data: bytes, is_cut: bool) -> Plain:
    if is_cut:
        raise Malformed(f"more than {MESSAGE_MAX_BYTES} bytes")
    try:
        plain = msgpack.unpackb(data)
    except Exception as error:  # whatever the decoder makes of them
        raise Malformed(f"no msgpack ({type(error).__name__})") from None
    if type(plain) is not dict:
        raise Malformed("no map")
    return plain


def discard(descriptors: Iterable[int]) -> None:
    """Close what a peer has sent; a socket so that it cannot make us wait for bytes that nobody takes."""
    for descriptor in descriptors:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=descriptor) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        else:
            os.close(descriptor)


def send(sock: socket.socket, plain: Plain, descriptors: Sequence[int] = ()) -> None:
    """One message, whole or not at all; raises BlockingIOError when the peer's buffer is full."""
    data = msgpack.packb(plain)
    assert len(data) <= MESSAGE_MAX_BYTES, f"message of {len(data)} bytes"
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
    sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)


R = TypeVar("R", bound=Sequence[Any])


def pages(rows: Iterable[R]) -> Iterator[list[R]]:
    """The rows in pages that fit into a message; lazily.  No row is larger than PAGE_BYTES."""
    page: list[R] = []
    size = 0
    for row in rows:
        length = len(msgpack.packb(row))
        if page and size + length > PAGE_BYTES:
            yield page
            page, size = [], 0
        page.append(row)
        size += length
    if page:
        yield page


def _copies(descriptors: Sequence[int]) -> list[int]:
    """All of them or, on OSError, none."""
    made: list[int] = []
    try:
        for descriptor in descriptors:
            made.append(os.dup(descriptor))
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise
    return made


class Link:
    """One end of such a socket on an event loop; what it says and hears is in ``table``.

    ``on_message(message, descriptors)`` is called for each message of the direction ``hears`` and owns the
    descriptors; it may raise Malformed.  ``on_close()`` is called once: when the peer is gone, or when it has
    sent what is Malformed, and then ``fault`` says what.  Where many processes share the other end, the one
    that is malformed must not cost the others the link: ``on_malformed(error)`` is called instead.
    ``closed()`` makes the error that ``send`` raises once the peer is gone.
    """

    fault = ""

    def __init__(
        self,
        sock: socket.socket,
        table: MessageTable,
        hears: str,
        on_message: Callable[[Any, list[int]], None],
        on_close: Callable[[], None],
        on_malformed: Callable[[Malformed], None] | None = None,
        closed: Callable[[], Exception] = LinkClosed,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._table = table
        self._hears = hears
        self._on_message = on_message
        self._on_close = on_close
        self._on_malformed = on_malformed or self._end_for
        self._closed = closed
        self._rest: asyncio.TimerHandle | None = None
        self._outbox: deque[tuple[Plain, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)
        self.is_closed = False

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send, or queue until the peer reads.  The descriptors stay the caller's.

        ``closed()``; OSError where it has to be queued and there is no descriptor left for a copy.
        """
        if self.is_closed:
            raise self._closed()
        plain = self._table.encode(message)
        if not self._outbox:
            try:
                send(self._sock, plain, descriptors)
                return
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._writable)
            except OSError:
                self.close()
                raise self._closed() from None
        if len(self._outbox) >= OUTBOX_MAX:
            self.close()
            raise self._closed()
        # Queued descriptors are copies: the caller may close its own at once.
        self._outbox.append((plain, _copies(descriptors)))

    def drain_now(self) -> None:
        """Handle what has already arrived, without waiting."""
        if not self.is_closed:
            self._readable()

    def _listen(self) -> None:
        self._rest = None
        self._loop.add_reader(self._sock.fileno(), self._readable)

    def _rests(self) -> None:
        """Read nothing until as much time has passed as this turn took: what comes waits in the socket."""
        if self._rest is None:
            self._loop.remove_reader(self._sock.fileno())
            self._rest = self._loop.call_later(TURN_SECONDS, self._listen)

    def close(self) -> None:
        """Close our end and tell ``on_close``; harmless when closed already."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, descriptors in self._outbox:
            for descriptor in descriptors:
                os.close(descriptor)
        self._outbox.clear()
        self._on_close()

    def _writable(self) -> None:
        while self._outbox:
            plain, descriptors = self._outbox[0]
            try:
                send(self._sock, plain, descriptors)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._outbox.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        until = time.monotonic() + TURN_SECONDS
        while not self.is_closed and self._take():
            if time.monotonic() > until:
                self._rests()
                return

    def _take(self) -> bool:
        """One message; False when there is no other now."""
        try:
            received = receive(self._sock)
        except BlockingIOError:
            return False
        except OSError:
            received = None
        except Malformed as error:
            self._on_malformed(error)
            return True
        if received is None:
            self.close()
            return False
        try:
            self._on_message(self._decoded(*received), received[1])
        except Malformed as error:
            self._on_malformed(error)
        return True

    def _decoded(self, plain: Plain, descriptors: list[int]) -> object:
        try:
            message: object = self._table.decode(self._hears, plain, len(descriptors))
        except Malformed:
            discard(descriptors)
            raise
        return message

    def _end_for(self, error: Malformed) -> None:
        self.fault = str(error)
        self.close()
