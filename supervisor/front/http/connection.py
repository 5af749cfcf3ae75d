"""One connection: bytes to requests, one request at a time, and answers to bytes.

Theory of operation.  All connections of a front read into one buffer; what a connection cannot use yet it
keeps in its inbox, and reads no more once that is full.  Rules:

1. No byte of the next message is looked at before this one has been answered (``message``, ``pieces``):
   nothing is parsed ahead, and no byte of a body is ever taken for a request.
2. A request belongs to one reader, an ``Exchange`` or a ``Cycle``; its body is read once the reader wants it.
3. Whatever is refused before all of it was read is read on and thrown away, within bounds, and then closed: a
   caller that first sends and then reads gets to see why.
4. All that is held for a connection is counted (``crowd``) until its request has been answered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Protocol, cast

from supervisor.errors import PlatformError
from supervisor.front.http import request_head
from supervisor.front.http.answer_head import head_of
from supervisor.front.http.asgi_cycle import Cycle
from supervisor.front.http.exchange import Exchange
from supervisor.front.http.idle_connections import Phase, Seen, State
from supervisor.front.http.message import Message
from supervisor.front.invoke import origins, request
from supervisor.front.invoke.timing import Timing
from supervisor.front.invoke.wrong_tokens import network_of
from supervisor.front.outcome import answers
from supervisor.front.outcome.answers import Headers

if TYPE_CHECKING:
    from supervisor.front.http.edge import Edge

READ_BYTES = 1 << 16
# What a caller may send ahead of the answer to its last request, before we stop reading.
INBOX_MAX_BYTES = 1 << 16
# Of a request that was refused so much more is read and thrown away.
LINGER_BYTES = 1 << 28
# Above it two writes are cheaper than a copy.
JOIN_BODY_BYTES = 1 << 16
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# on, 0 seconds
LINGER_NOT = struct.pack("ii", 1, 0)
# A name of its own for each: to look one up in an enumeration takes longer than to compare it.
IDLE, HEAD, HELD, BODY, BUSY, LINGER, CLOSED = Phase
WITH_BODY = (HELD, BODY)

# No reads of two connections overlap: each is used up before the loop goes on.
_buffer = bytearray(READ_BYTES)
_view = memoryview(_buffer)


class Reader(Protocol):
    """Whoever a request belongs to.

    A caller that has shut its side may wait for its answer, or be gone: nobody can tell.  ``shut_seconds`` is
    how long it is taken to wait.
    """

    shut_seconds: float

    def take(self, data: bytes) -> None:
        """Some bytes of the body that it wants."""

    def whole(self) -> None:
        """The body has ended."""

    def failed(self, error: PlatformError) -> None:
        """The rest of the body cannot be had; it answers with this, if it has not begun to answer."""

    def lost(self) -> None:
        """The caller is gone: no answer is heard."""


class Connection(asyncio.BufferedProtocol):
    """From accept to close."""

    __slots__ = (
        "_group", "_half_closed", "_held", "_inbox", "_is_paused", "_is_turning", "_lingered", "edge",
        "is_shut", "is_unwritable", "message", "must_close", "on_writable", "peer", "phase", "reader",
        "requests", "seen", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.peer = ""
        self.phase: Phase = IDLE
        self.requests = 0
        self.seen: Seen | None = None  # by the sweep
        self.reader: Reader | None = None
        self.message = Message(self._has_data)
        self.must_close = self.is_unwritable = False
        self.on_writable: asyncio.Event | None = None
        self._group = ""
        self._held = self._lingered = 0
        self._inbox = bytearray()
        self._is_paused = self.is_shut = self._is_turning = False
        self._half_closed: asyncio.TimerHandle | None = None

    # ---- what the loop calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        self._group = network_of(self.peer)
        self.edge.connections.add(self)
        if why := self.edge.crowd.come(self._group):
            self.refuse(busy(why))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self.phase = CLOSED
        self.message.close()
        self._inbox = bytearray()
        self.edge.connections.discard(self)
        self.edge.crowd.go(self._group, self._held)
        self._held = 0
        if self._half_closed is not None:
            self._half_closed.cancel()
        if self.on_writable is not None:
            self.on_writable.set()
        self._lose()

    def _lose(self) -> None:
        if (reader := self.reader) is not None:
            self.reader = None
            self.edge.running -= 1
            reader.lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return _view

    def buffer_updated(self, nbytes: int) -> None:
        """Some bytes have come: use them, or keep them until they can be used."""
        # From here on the bytes are hostile.
        if self.phase >= LINGER:
            self._lingered += nbytes
            if self._lingered > LINGER_BYTES:
                self.end(True)
        elif self._inbox:
            self._inbox += _view[:nbytes]
            self._turn()
        else:
            used = self._take(_buffer, _view, nbytes)
            if used < nbytes:
                if self.phase < LINGER:
                    self._inbox += _view[used:nbytes]
                    self._pace()
                    self._count()
            elif self.phase is not IDLE and self.phase < BUSY:
                self._count()

    def eof_received(self) -> bool:
        """The caller sends no more; it may still wait for the answers to what it has sent."""
        if self.phase >= LINGER or not (self._inbox or self._is_waiting()):
            self.give_up()
            return False
        self.is_shut = True
        wait_s = self.reader.shut_seconds if self.reader is not None else 0.0
        self._half_closed = self.edge.loop.call_later(wait_s, self.give_up)
        return True

    def give_up(self) -> None:
        """There is nobody to answer."""
        self._lose()
        self.end(False)

    def pause_writing(self) -> None:
        """The caller does not read what it is sent."""
        self.is_unwritable = True

    def resume_writing(self) -> None:
        """It does again."""
        self.is_unwritable = False
        if self.on_writable is not None:
            self.on_writable.set()
        self._turn_later()

    # ---- pieces -----------------------------------------------------------------------------------

    def _turn_later(self) -> None:
        """Not now: whoever calls may have been called in the middle of a piece."""
        if not self._is_turning and (self._inbox or self._is_paused):
            self._is_turning = True
            self.edge.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Use what waits in the inbox, as far as it can be."""
        self._is_turning = False
        inbox, self._inbox = self._inbox, bytearray()
        with memoryview(inbox) as view:
            used = self._take(inbox, view, len(inbox))
        if self.phase < LINGER:
            del inbox[:used]
            self._inbox = inbox
            self._pace()
            self._count()
            if self.is_shut and not self._is_waiting():
                self.give_up()  # what it has sent was no whole request

    def _pace(self) -> None:
        """Read no more while there is no room for it."""
        if self._is_paused != (len(self._inbox) >= INBOX_MAX_BYTES) and not self.transport.is_closing():
            self._is_paused = not self._is_paused
            (self.transport.pause_reading if self._is_paused else self.transport.resume_reading)()

    def _is_waiting(self) -> bool:
        """Whether no byte can be used now; the next request is none while nobody reads the last answer."""
        phase = self.phase
        return phase >= BUSY or phase is HELD or (phase is IDLE and self.is_unwritable)

    def _take(self, data: bytearray, view: memoryview, size: int) -> int:
        """How many of the first ``size`` bytes of ``data`` were used; ``view`` shows them."""
        at = cuts = 0
        message = self.message
        while at < size and not self._is_waiting():
            if self.phase is IDLE:
                self.phase = HEAD
            end = message.end_of_piece(data, at, size, cuts)
            cuts += 1
            try:
                message.feed(view[at:end])
            except PlatformError as error:
                self._spoil(error)
                break
            at = end
            if self.phase is HEAD and message.has_head:
                self._begin_request()
            elif message.is_whole and self.phase in WITH_BODY:
                self.phase = BUSY
                self.must_close = self.must_close or not message.keeps_alive
                assert self.reader is not None
                self.reader.whole()
        return at

    def _has_data(self, data: bytes) -> None:
        if self.reader is not None and self.phase is BODY:  # else it was refused in this very piece
            self.reader.take(data)

    # ---- requests ---------------------------------------------------------------------------------

    def _begin_request(self) -> None:
        self.requests += 1
        message = self.message
        try:
            target = message.target()
        except PlatformError as error:
            self.refuse(error)
            return
        self.must_close = self.must_close or not message.keeps_alive
        self.phase = BUSY if message.is_whole else HELD
        self.edge.running += 1
        match = origins.recognise(target.path, message.headers)
        # HEAD is answered without a body, by the way that everything else goes.
        if match is not None and message.method != "HEAD":
            exchange = Exchange(self, match, message.method, target.query, message.headers)
            self.reader = exchange
            self.edge.invoke(exchange)
        else:
            cycle = Cycle(self, message.method, target, message.headers)
            self.reader = cycle
            cycle.begin()

    def want_body(self) -> None:
        """The reader takes the body, or more of it."""
        if self.phase is not HELD:
            return
        self.phase = BODY
        framing = self.message.framing
        if framing is not None and framing.is_awaited and not self.message.fed and not self._inbox:
            self.transport.write(CONTINUE)
        self._turn_later()

    def hold_body(self) -> None:
        """The reader has enough for now."""
        if self.phase is BODY:
            self.phase = HELD

    def _count(self) -> None:
        """Tell the crowd what is held for this connection."""
        held = len(self._inbox) + self.message.held_bytes
        more, self._held = held - self._held, held
        if more and not self.edge.crowd.hold(self._group, more) and more > 0:
            self._spoil(busy("it holds as much of requests as it may; send less, or later"))

    def too_slow(self) -> None:
        """The body's time is up."""
        self._spoil(request_head.refusal(408, f"its body did not arrive within {self.edge.times.body_s:g} s"))

    def _spoil(self, error: PlatformError) -> None:
        """Nothing more of this request can be read; it may have been answered meanwhile."""
        if self.phase <= HEAD:
            self.refuse(error)
        elif self.phase in WITH_BODY and self.reader is not None:
            self.must_close = True
            self.reader.failed(error)

    # ---- answers ----------------------------------------------------------------------------------

    @property
    def closes(self) -> bool:
        """Whether the answer that is given now is the last one here."""
        is_last = self.must_close or self.edge.is_draining or (self.is_shut and not self._inbox)
        return is_last or self.phase in WITH_BODY

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer, in one write where it is small; ``answered`` is included."""
        if self.phase >= LINGER:
            return
        closes = self.closes
        data = head_of(self.message.is_modern, status, headers, closes)
        if len(body) <= JOIN_BODY_BYTES:
            if self.edge.running == 1 and self.phase is BUSY:
                self.written(data + body, closes)  # nobody else has something to say in this turn
            else:
                self.edge.write_soon(self, data + body, closes)
        else:
            self.transport.write(data)
            self.transport.write(body)
            self.answered(closes)

    def written(self, data: bytes, closes: bool) -> None:
        """Write an answer that ``edge`` has kept until now, for a caller that is still there."""
        if self.phase < LINGER:
            self.transport.write(data)
            self.answered(closes)

    def refuse(self, error: PlatformError) -> None:
        """Answer what belongs to no reader."""
        self.must_close = True
        answer = answers.refused(error)
        stamps = Timing().headers(request.call_id_of(self.message.headers))
        self.reply(answer.status, answer.complete(stamps, None), answer.body)

    def answered(self, closes: bool) -> None:
        """The answer has been written: the next request may come, or the connection ends."""
        if self.reader is not None:
            self.reader = None
            self.edge.running -= 1
        if self._held:
            self.edge.crowd.hold(self._group, -self._held)
            self._held = 0
        if not closes:
            self.phase = IDLE
            self.message.begin()
            self._turn_later()
        elif self.phase is BUSY and not self._inbox:
            self.end(False)
        else:
            self._linger()

    def _linger(self) -> None:
        """Say that we are done, and read on: closed at once, what it still sends would cost it the answer."""
        self.phase = LINGER
        self.message.close()
        self._inbox = bytearray()
        self._pace()
        if not self.transport.is_closing():
            self.transport.write_eof()

    # ---- the sweep and the drain ------------------------------------------------------------------

    def state(self) -> State:
        """What ``stale`` wants to know."""
        return State(self.requests, self.phase, self.transport.get_write_buffer_size())

    def end(self, at_once: bool) -> None:
        """Close it; ``at_once``: with what nobody reads."""
        self.phase = CLOSED
        if not at_once:
            self.transport.close()
            return
        # The kernel too would hold what nobody reads, for minutes.
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.transport.abort()


def busy(why: str) -> PlatformError:
    """503."""
    return PlatformError(503, f"the server is at a limit: {why}", headers={"Retry-After": "2"})
