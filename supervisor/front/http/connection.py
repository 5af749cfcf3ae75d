"""One connection: its bytes become requests, one after the other, and answers become bytes.

Theory of operation.  All connections of a front read into one buffer.  A connection keeps the bytes that it
cannot use yet in its inbox, and stops reading when the inbox is full.  Rules:

1. No byte of the next message is looked at before this one was answered (``message``): nothing is
   parsed ahead, and no byte of a body is ever taken for a request.
2. A request belongs to one RequestHandler: an ``HttpCall`` or an ``ApiRequest``.  Its body is read when it
   asks.
3. The rest of a refused request is read and thrown away, within bounds, and then the connection closes: a
   caller that sends all before it reads gets to see why.
4. The bytes held for a connection count against the limits (``connection_counts``) until its request was
   answered.  Behind a trusted proxy they count for the caller that the proxy names.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

from supervisor.errors import PlatformError
from supervisor.front.http import request_head
from supervisor.front.http.connection_waits import ConnectionState, Observation, Phase
from supervisor.front.http.edge import Edge, RequestHandler
from supervisor.front.http.message import Message
from supervisor.front.invoke.callers.wrong_tokens import network_of
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.outcome import answers
from supervisor.front.outcome.answers import Headers

# A caller may send this much ahead of the answer to its last request; then the connection stops reading.
INBOX_MAX_BYTES = 1 << 16
# After a refusal this much more is read and thrown away.
LINGER_BYTES = 1 << 28
# A larger body is written by itself, because a second write is cheaper than a copy.
JOIN_BODY_BYTES = 1 << 16
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# SO_LINGER on, for 0 seconds: a close throws away what was not sent.
LINGER_NOT = struct.pack("ii", 1, 0)
# A module's name is found faster than an enumeration's member.
IDLE, HEAD, HELD, BODY, BUSY, LINGER, CLOSED = Phase
WITH_BODY = (HELD, BODY)


class Connection(asyncio.BufferedProtocol):
    """From accept to close."""

    __slots__ = (
        "_group", "_half_closed", "_held", "_inbox", "_is_paused", "_is_proxy", "_is_turning", "_lingered",
        "_own_group", "edge", "handler", "is_shut", "is_unwritable", "message", "must_close", "on_writable",
        "peer", "phase", "requests", "seen", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.peer = ""
        self.phase: Phase = IDLE
        self.requests = 0
        self.seen: Observation | None = None
        self.handler: RequestHandler | None = None
        self.message = Message(self._has_data)
        self.must_close = self.is_unwritable = False
        self.on_writable: asyncio.Event | None = None
        self._group = self._own_group = ""
        self._held = self._lingered = 0
        self._inbox = bytearray()
        self._is_paused = self._is_proxy = self.is_shut = self._is_turning = False
        self._half_closed: asyncio.TimerHandle | None = None

    # ---- what the loop calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection; refuse it where there are too many."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        self._group = self._own_group = network_of(self.peer)
        self._is_proxy = self.edge.callers.is_proxy(self.peer)
        self.edge.connections.add(self)
        if why := self.edge.counts.enter(self._group, is_proxy=self._is_proxy):
            self.refuse(busy(why))

    def connection_lost(self, exc: Exception | None) -> None:
        """Free what the connection held, whoever has closed it."""
        self.phase = CLOSED
        self.message.close()
        self._inbox = bytearray()
        self.edge.connections.discard(self)
        self.edge.counts.leave(self._group, self._held)
        self._held = 0
        if self._half_closed is not None:
            self._half_closed.cancel()
        if self.on_writable is not None:
            self.on_writable.set()
        self._lose()

    def _lose(self) -> None:
        if (handler := self.handler) is not None:
            self.handler = None
            self.edge.running -= 1
            handler.lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The shared buffer."""
        return self.edge.view

    def buffer_updated(self, nbytes: int) -> None:
        """Use the bytes that have come, or keep them until they can be used."""
        # From here on the bytes are hostile.
        if self.phase >= LINGER:
            self._lingered += nbytes
            if self._lingered > LINGER_BYTES:
                self.end(True)
        elif self._inbox:
            self._inbox += self.edge.view[:nbytes]
            self._turn()
        else:
            edge = self.edge
            used = self._take(edge.buffer, edge.view, nbytes)
            if used < nbytes:
                if self.phase < LINGER:
                    self._inbox += edge.view[used:nbytes]
                    self._pace()
                    self._count()
            elif self.phase is not IDLE and self.phase < BUSY:
                self._count()

    def eof_received(self) -> bool:
        """The caller sends no more; it may still wait for answers."""
        if self.phase >= LINGER or not (self._inbox or self._is_waiting()):
            self.give_up()
            return False
        self.is_shut = True
        wait_s = self.handler.shut_seconds if self.handler is not None else 0.0
        self._half_closed = self.edge.loop.call_later(wait_s, self.give_up)
        return True

    def give_up(self) -> None:
        """Close the connection: nobody waits for an answer."""
        self._lose()
        self.end(False)

    def pause_writing(self) -> None:
        """The caller does not read: the transport's buffer is full."""
        self.is_unwritable = True

    def resume_writing(self) -> None:
        """The caller reads again."""
        self.is_unwritable = False
        if self.on_writable is not None:
            self.on_writable.set()
        self._turn_later()

    # ---- pieces -----------------------------------------------------------------------------------

    def _turn_later(self) -> None:
        """Have ``_turn`` run in the loop's next turn: the code that calls this may stand inside a piece."""
        if not self._is_turning and (self._inbox or self._is_paused):
            self._is_turning = True
            self.edge.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Use as much of the inbox as can be used now."""
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
                self.give_up()  # the caller has sent no whole request

    def _pace(self) -> None:
        """Pause reading while the inbox is full, and resume it after."""
        if self._is_paused != (len(self._inbox) >= INBOX_MAX_BYTES) and not self.transport.is_closing():
            self._is_paused = not self._is_paused
            (self.transport.pause_reading if self._is_paused else self.transport.resume_reading)()

    def _is_waiting(self) -> bool:
        """Whether no byte can be used now.  The next request waits until the last answer is read."""
        phase = self.phase
        return phase >= BUSY or phase is HELD or (phase is IDLE and self.is_unwritable)

    def _take(self, data: bytearray, view: memoryview, size: int) -> int:
        """Use the first ``size`` bytes of ``data``, which ``view`` shows; return how many were used."""
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
                assert self.handler is not None
                self.handler.whole()
        return at

    def _has_data(self, data: bytes) -> None:
        if self.handler is not None and self.phase is BODY:  # else this very piece was refused
            self.handler.take(data)

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
        edge = self.edge
        edge.running += 1
        asked = edge.recognise(target.path, message.headers)
        # HEAD is answered without a body, by the way of all other requests.
        if asked is not None and message.method != "HEAD":
            call = HttpCall(self, asked, message.method, target.query, message.headers)
            self.handler = call
            edge.invoke(call)
        else:
            self.handler = edge.serve(self, message.method, target, message.headers)

    def want_body(self) -> None:
        """Read the body, or more of it: the handler takes it."""
        if self.phase is not HELD:
            return
        self.phase = BODY
        framing = self.message.framing
        if framing is not None and framing.is_awaited and not self.message.fed and not self._inbox:
            self.transport.write(CONTINUE)
        self._turn_later()

    def hold_body(self) -> None:
        """Stop reading the body: the handler has enough for now."""
        if self.phase is BODY:
            self.phase = HELD

    def _count(self) -> None:
        """Count the bytes held for this connection; refuse the request if they are too many."""
        held = len(self._inbox) + self.message.held_bytes
        if self._is_proxy and self.handler is not None:
            self._count_for_caller()
        more, self._held = held - self._held, held
        if more and not self.edge.counts.hold(self._group, more) and more > 0:
            self._spoil(busy("it holds as much of requests as it may; send less, or later"))

    def _count_for_caller(self) -> None:
        """Have this request's bytes count for its caller; as most requests hold none, only once some are."""
        if self._group is self._own_group:
            address = self.edge.callers.address(self.peer, self.message.headers)
            self._count_for(network_of(address))

    def _count_for(self, group: str) -> None:
        before, self._group = self._group, group
        self.edge.counts.move(before, group, self._held)

    def too_slow(self) -> None:
        """Refuse the request: its body took too long."""
        limit_s = self.edge.wait_limits.body_s
        self._spoil(request_head.refusal(408, f"its body did not arrive within {limit_s:g} s"))

    def _spoil(self, error: PlatformError) -> None:
        """Refuse the rest of this request, unless it was answered meanwhile."""
        if self.phase <= HEAD:
            self.refuse(error)
        elif self.phase in WITH_BODY and self.handler is not None:
            self.must_close = True
            self.handler.failed(error)

    # ---- answers ----------------------------------------------------------------------------------

    @property
    def closes(self) -> bool:
        """Whether an answer that is given now is the connection's last one."""
        is_last = self.must_close or self.edge.is_draining or (self.is_shut and not self._inbox)
        return is_last or self.phase in WITH_BODY

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Write a whole answer, a small one in one write, and go on as ``answered`` says."""
        if self.phase >= LINGER:
            return
        closes = self.closes
        edge = self.edge
        data = edge.heads.head(self.message.is_modern, status, headers, closes)
        if len(body) <= JOIN_BODY_BYTES:
            if edge.running == 1 and self.phase is BUSY:
                self.written(data + body, closes)  # no other request runs, so no other answer comes
            else:
                edge.write_soon(self, data + body, closes)
        else:
            self.transport.write(data)
            self.transport.write(body)
            self.answered(closes)

    def written(self, data: bytes, closes: bool) -> None:
        """Write an answer that the edge has kept until now, unless the caller is gone."""
        if self.phase < LINGER:
            self.transport.write(data)
            self.answered(closes)

    def refuse(self, error: PlatformError) -> None:
        """Answer a request that has no handler, or whose handler cannot answer."""
        self.must_close = True
        answer = answers.refused(error)
        stamps = answers.stamps(self.edge.call_ids.of(self.message.headers), 0.0)
        self.reply(answer.status, answer.complete(stamps, None), answer.body)

    def answered(self, closes: bool) -> None:
        """Go on after an answer: wait for the next request, or end the connection."""
        if self.handler is not None:
            self.handler = None
            self.edge.running -= 1
        if self._held:
            self.edge.counts.hold(self._group, -self._held)
            self._held = 0
        if self._group is not self._own_group:
            self._count_for(self._own_group)  # the proxy's next request may be another caller's
        if not closes:
            self.phase = IDLE
            self.message.begin()
            self._turn_later()
        elif self.phase is BUSY and not self._inbox:
            self.end(False)
        else:
            self._linger()

    def _linger(self) -> None:
        """Shut our side and read on: after a close, bytes that still come would destroy the answer."""
        self.phase = LINGER
        self.message.close()
        self._inbox = bytearray()
        self._pace()
        if not self.transport.is_closing():
            self.transport.write_eof()

    # ---- the sweep and the drain ------------------------------------------------------------------

    def state(self) -> ConnectionState:
        """What ``connection_waits`` judges by."""
        return ConnectionState(self.requests, self.phase, self.transport.get_write_buffer_size())

    def end(self, at_once: bool) -> None:
        """Close the connection; ``at_once`` throws away what the caller has not read."""
        self.phase = CLOSED
        if not at_once:
            self.transport.close()
            return
        # Without this the kernel would hold the unread bytes for minutes.
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.transport.abort()


def busy(why: str) -> PlatformError:
    """503 of a front that has too many connections, or holds too many bytes."""
    return PlatformError(503, f"the server is at a limit: {why}", headers={"Retry-After": "2"})
