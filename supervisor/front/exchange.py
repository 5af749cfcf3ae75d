"""One HTTP request to a function and its answer, without what a web framework would want of them.

gunicorn builds a request object, an ASGI scope and two closures for every request; a third of a warm
call's time in a front went there.  For an invocation the gateway needs a method, a path, a query and the
headers, and it knows its whole answer when it gives it: that is one write.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from gunicorn.asgi.protocol import _CACHED_SERVER_HEADER as SERVER_LINE
from gunicorn.asgi.protocol import BodyReceiver
from gunicorn.asgi.protocol import _get_cached_date_header as date_line

from supervisor.front import calls
from supervisor.front.answers import Headers

Receive = Callable[[], Awaitable[dict[str, Any]]]
# Status, headers, body.
Reply = Callable[[int, Headers, bytes], Awaitable[None]]

EXPECTATION = (b"expect", b"100-continue")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# HTTP/1.1 and later know 100 and persistent connections.
FIRST_MODERN = (1, 1)
_STATUS_LINES: dict[int, bytes] = {}


class Exchange:
    """A request whose path is an invocation's; what gunicorn's connection asks of a request is here too."""

    __slots__ = (
        "chunked",
        "content_length",
        "headers",
        "match",
        "method",
        "must_close",
        "peer",
        "query_string",
        "version",
    )

    def __init__(self, parser: Any, match: re.Match[bytes], query_string: bytes) -> None:
        self.match = match
        self.method: str = parser.method.decode("ascii")
        self.query_string = query_string
        # The C parser has them in lower case under another name; gunicorn's own always has them so.
        self.headers: Headers = list(getattr(parser, "asgi_headers", None) or parser.headers)
        self.version: tuple[int, int] = parser.http_version
        self.must_close = not parser.should_keep_alive
        self.content_length: int = parser.content_length or 0
        self.chunked: bool = parser.is_chunked
        # The address of the other end, which the connection knows; "" on a Unix socket.
        self.peer = ""

    @classmethod
    def of(cls, parser: Any) -> Exchange | None:
        """The request that a parser has read the head of; None for one to anything but a function."""
        raw_path, _, query_string = parser.path.partition(b"?")
        match = calls.INVOKE.fullmatch(raw_path)
        # HEAD is answered without a body, by the way that everything else goes.
        if match is None or parser.method == b"HEAD":
            return None
        return cls(parser, match, query_string)

    def should_close(self) -> bool:
        """Whether the connection ends after the answer."""
        return self.must_close


def status_line(version: tuple[int, int], status: int) -> bytes:
    """The first line of an answer, in the version that the request came in."""
    line = _STATUS_LINES.get(status)
    if line is None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:  # 299 is a status too
            reason = "Unknown"
        line = _STATUS_LINES[status] = f"{status} {reason}\r\n".encode()
    return (b"HTTP/1.1 " if version >= FIRST_MODERN else b"HTTP/1.0 ") + line


def head_of(version: tuple[int, int], status: int, headers: Headers) -> bytes:
    """Everything of an answer that comes before its body; Date and Server are never the function's."""
    parts = [status_line(version, status)]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (SERVER_LINE, date_line(), b"\r\n")
    return b"".join(parts)


class Body(BodyReceiver):  # type: ignore[misc]
    """A request's body as it arrives; asks for it where the caller waits to be asked (RFC 9110, 10.1.1).

    gunicorn never does: curl then holds a large body back for a second.
    """

    __slots__ = ("_is_awaited",)

    def __init__(self, request: Any, protocol: Any, headers: Headers) -> None:
        super().__init__(request, protocol)
        has_body = request.content_length or request.chunked
        self._is_awaited = bool(has_body) and request.version >= FIRST_MODERN and EXPECTATION in headers

    async def receive(self) -> dict[str, Any]:
        """The next ASGI message."""
        if self._is_awaited:
            self._is_awaited = False
            if not self._chunks and not self._complete:
                self.protocol.write(CONTINUE)
        message: dict[str, Any] = await super().receive()
        return message
