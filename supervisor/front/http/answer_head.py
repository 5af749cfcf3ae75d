"""The bytes of an answer's head."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from supervisor.front.outcome.answers import Headers

CLOSE, KEEP_ALIVE = b"connection: close", b"connection: keep-alive"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
VERSION_BYTES = len(b"HTTP/1.1")


def status_line(is_modern: bool, status: int) -> bytes:
    """The first line of an answer, in the version of the request: HTTP/1.1 if ``is_modern``, else 1.0."""
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown" % status
    return line if is_modern else b"HTTP/1.0" + line[VERSION_BYTES:]


class HeadWriter:
    """Makes heads; keeps the line ``Date`` of this second, which takes longer than the rest of a head."""

    __slots__ = ("_date_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._date_line = b""

    def head(self, is_modern: bool, status: int, headers: Headers, closes: bool) -> bytes:
        """All of an answer that comes before its body.  ``closes``: the connection ends with this answer."""
        now = int(time.time())
        if now != self._second:
            # RFC 9110, 6.6.1 wants it of a server with a clock.
            self._date_line = f"date: {formatdate(now, usegmt=True)}".encode()
            self._second = now
        parts = [status_line(is_modern, status), *map(b": ".join, headers), self._date_line]
        if closes:
            parts.append(CLOSE)
        elif not is_modern:
            parts.append(KEEP_ALIVE)
        parts.append(b"\r\n")
        return b"\r\n".join(parts)
