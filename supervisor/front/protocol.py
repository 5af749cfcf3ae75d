"""Connections of gunicorn's asgi worker, made to refuse what is no HTTP as the platform refuses anything.

As it comes, gunicorn answers a request that it cannot parse with a line of plain text, leaves most
errors of its own C parser unanswered (a traceback in the log and a closed connection), and takes a
WebSocket upgrade that no part of this server speaks.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

from supervisor.errors import SHOWN_MAX_CHARS, PlatformError
from supervisor.front import answers, calls
from supervisor.front.answers import Headers
from supervisor.front.exchange import Body, Exchange, head_of
from supervisor.front.gateway import Timing, calling

# The optional C parser's errors share no base class with gunicorn's own.
FAST_PARSER = "gunicorn_h1c"

WHY = {
    400: "the request is not HTTP as this server reads it: {}; correct the client",
    414: "the request's first line is too long: {}; use the body",
    431: "the request's headers are too many or too large: {}; send fewer",
}
# Above it two writes are cheaper than a copy.
JOIN_BODY_BYTES = 1 << 16
OUR_MISTAKE = "the platform made a mistake; its operator finds it in the log"


def refusal(status: int, why: str) -> bytes:
    """A whole HTTP answer in the envelope; the connection ends after it.  ``why`` may quote the request."""
    message = WHY.get(status, OUR_MISTAKE).format(why[:SHOWN_MAX_CHARS])
    answer = answers.refused(PlatformError(status, message))
    headers = [
        *answer.headers,
        (b"content-length", b"%d" % len(answer.body)),
        (b"connection", b"close"),
        *Timing().headers(calls.call_id_of([])),
    ]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", answer.body])


class Protocol(ASGIProtocol):  # type: ignore[misc]
    """One connection."""

    _task: asyncio.Task[Any] | None
    _closed: bool
    _current_request: Any

    # gunicorn's idle timer costs every request a timer and never rings: ``stale`` looks instead.
    def _arm_keepalive_timer(self) -> None: ...

    def _cancel_keepalive_timer(self) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone: a call is cancelled now.

        gunicorn gives every request three seconds more, which is right for the API's: half a deploy helps
        nobody.
        """
        super().connection_lost(exc)
        task = self._task
        if task is not None and task in calling:
            task.cancel()

    # ---- the short way of an invocation ---------------------------------------------------------

    def _on_headers_complete(self) -> bool:
        exchange = None if self._h2c_upgrade_ok else Exchange.of(self._callback_parser)
        if exchange is None:
            is_bodyless: bool = super()._on_headers_complete()
            request = self._current_request
            self._body_receiver = Body(request, self, request.headers_bytes)
            return is_bodyless
        self._current_request = exchange
        self._body_receiver = Body(exchange, self, exchange.headers)
        self._request_ready.set()
        return False

    async def _handle_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        if type(request) is not Exchange:
            keeps_alive: bool = await super()._handle_http_request(request, sockname, peername)
            return keeps_alive
        if isinstance(peername, tuple):
            request.peer = peername[0]
        try:
            await self.app.invoke(request, self._body_receiver.receive, self._reply)
        except asyncio.CancelledError:  # the caller is gone
            return False
        return self.worker.alive and not request.must_close

    async def _reply(self, status: int, headers: Headers, body: bytes) -> None:
        """One answer in one write; waits where the caller does not read."""
        if self._closed:
            return
        head = head_of(self._current_request.version, status, headers)
        if len(body) <= JOIN_BODY_BYTES:
            self._safe_write(head + body)
            return
        self._safe_write(head)
        self._safe_write(body)
        await self._flow_control.drain()

    def write(self, data: bytes) -> None:
        """Some bytes of an answer; a caller that is gone does not mind."""
        self._safe_write(data)

    @classmethod
    def _check_h1c_protocol_available(cls) -> bool:
        # gunicorn remembers the answer on the class that is asked and reads it on its own: asked of a
        # subclass it would quietly parse in Python.
        return bool(ASGIProtocol._check_h1c_protocol_available())

    def _send_error_response(self, status: int, message: str) -> None:
        self._safe_write(refusal(status, message))

    def _handle_h1c_exception(self, exc: Exception) -> bool:
        if super()._handle_h1c_exception(exc):
            return True
        if type(exc).__module__.partition(".")[0] != FAST_PARSER:
            return False
        self._send_error_response(400, str(exc))
        self._close_transport()
        return True

    def _is_websocket_upgrade(self, request: object) -> bool:
        # An upgrade is an offer: whoever does not take it answers in HTTP (RFC 9110, 7.8).
        return False
