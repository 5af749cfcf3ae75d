"""A request that is no invocation, as an ASGI application wants it, and its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from supervisor.errors import PlatformError
from supervisor.front.http.connection import Connection
from supervisor.front.http.connection_waits import Phase
from supervisor.front.http.request_head import RequestTarget
from supervisor.front.outcome.answers import BODYLESS, Headers

log = logging.getLogger("cellblock.front")

# The application has not taken this much of the body yet: no more is read.
BODY_HELD_BYTES = 1 << 16
# Once its caller is gone, a request may still end by itself for so long: half a deploy helps nobody.
LOST_SECONDS = 3.0
# An ASGI extension of ours: the application may lower ``scope["extensions"][LOST]["seconds"]``.
LOST = "cellblock.lost"
# A caller that has shut its sending side waits for its answer.  If the answer has not begun after so long,
# the request ends.
SHUT_SECONDS = 30.0
OUR_MISTAKE = "the platform made a mistake; its operator finds it in the log"
# The connection decides on these, not the application.
OURS = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})
CHUNKED = (b"transfer-encoding", b"chunked")


class ApiRequest:
    """One request, one task.  A RequestHandler of its connection."""

    shut_seconds = SHUT_SECONDS

    def __init__(
        self,
        serve: Callable[..., Any],
        connection: Connection,
        method: str,
        target: RequestTarget,
        headers: Headers,
    ) -> None:
        """``serve`` is the ASGI application; it runs from the loop's next turn on."""
        self._serve = serve
        self._connection = connection
        self._lost = {"seconds": LOST_SECONDS}
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1" if connection.message.is_modern else "1.0",
            "server": None,
            "client": (connection.peer, 0),
            "scheme": "http",
            "root_path": "",
            "method": method,
            "path": unquote(target.path.decode("latin-1")),
            "raw_path": target.path,
            "query_string": target.query,
            "headers": headers,
            "extensions": {LOST: self._lost},
        }
        self._body = bytearray()
        self._is_whole = connection.phase is Phase.BUSY
        self._is_told_whole = False
        self._is_over = False  # answered, or the caller is gone
        self._news = asyncio.Event()
        # The answer's head, which waits for the first part of the body; and whether it has been written.
        self._head: tuple[int, Headers] | None = None
        self._has_begun = self._is_chunked = self._closes = False
        self._task = connection.edge.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._serve(self._scope, self.receive, self.send)
        except Exception:
            # The outermost handler of a request: a bug of ours costs one caller its answer.
            log.exception("%s %r: our own mistake", self._scope["method"], self._scope["path"])
        if not self._is_over:
            self.failed(PlatformError(500, OUR_MISTAKE))

    # ---- as the connection's handler -----------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """As RequestHandler.take."""
        self._body += data
        if len(self._body) >= BODY_HELD_BYTES:
            self._connection.hold_body()
        self._news.set()

    def whole(self) -> None:
        """As RequestHandler.whole."""
        self._is_whole = True
        self._news.set()

    def failed(self, error: PlatformError) -> None:
        """As RequestHandler.failed."""
        self._end()
        if self._has_begun:
            self._connection.end(True)  # the answer cannot be taken back
        else:
            self._connection.refuse(error)

    def lost(self) -> None:
        """As RequestHandler.lost."""
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._news.set()
        task = self._task
        if not task.done() and task is not asyncio.current_task():
            self._connection.edge.loop.call_later(self._lost["seconds"], task.cancel)

    # ---- as ASGI wants it -----------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """The next part of the body; after the body, that the caller is gone, once it is."""
        while not self._is_over:
            if not self._is_told_whole and (self._body or self._is_whole):
                data, self._body = bytes(self._body), bytearray()
                self._is_told_whole = self._is_whole
                return {"type": "http.request", "body": data, "more_body": not self._is_whole}
            self._connection.want_body()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take the answer's head or a part of its body; wait while the caller does not read."""
        connection = self._connection
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            self._head = (message["status"], list(message.get("headers", ())))
            return
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        data = b"" if self._has_begun else self._begin(body, is_last)
        if self._scope["method"] != "HEAD":
            data += self._framed(body, is_last)
        connection.transport.write(data)
        if is_last:
            self._is_over = True
            self._news.set()
            connection.answered(self._closes)
            return
        if connection.is_shut:
            connection.give_up()
        while connection.is_unwritable and not self._is_over:
            connection.on_writable = asyncio.Event()
            await connection.on_writable.wait()

    def _begin(self, body: bytes, is_last: bool) -> bytes:
        assert self._head is not None, "a body before its head"
        status, headers = self._head
        connection = self._connection
        if any(name == b"connection" and b"close" in value.lower() for name, value in headers):
            connection.must_close = True
        headers = [header for header in headers if header[0].lower() not in OURS]
        is_told = any(name.lower() == b"content-length" for name, _ in headers)
        if not is_told and status not in BODYLESS:
            if is_last:
                headers.append((b"content-length", b"%d" % len(body)))
            elif connection.message.is_modern:
                self._is_chunked = True
                headers.append(CHUNKED)
            else:
                connection.must_close = True  # the end of the connection marks the end of the body
        self._has_begun = True
        self.shut_seconds = 0.0
        self._closes = connection.closes
        return connection.edge.heads.head(connection.message.is_modern, status, headers, self._closes)

    def _framed(self, body: bytes, is_last: bool) -> bytes:
        if not self._is_chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if is_last else chunk
