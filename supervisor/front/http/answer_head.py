"""The bytes of an answer's head."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from supervisor.front.outcome.answers import Headers

CLOSE, KEEP_ALIVE = b"connection: close", b"connection: keep-alive"
_status_lines: dict[int, bytes] = {}


class _Clock:
    """The header of this second; formatting it takes longer than all else of a head."""

    at = 0
    line = b""


def date_line() -> bytes:
    """``Date``, as RFC 9110, 6.6.1 wants it of a server with a clock."""
    now = int(time.time())
    if now != _Clock.at:
        _Clock.line = f"date: {formatdate(now, usegmt=True)}".encode()
        _Clock.at = now
    return _Clock.line


def status_line(is_modern: bool, status: int) -> bytes:
    """The first line of an answer, in the version that the request came in."""
    line = _status_lines.get(status)
    if line is None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:  # 299 is a status too
            reason = "Unknown"
        line = _status_lines[status] = f"{status} {reason}".encode()
    return (b"HTTP/1.1 " if is_modern else b"HTTP/1.0 ") + line


def head_of(is_modern: bool, status: int, headers: Headers, closes: bool) -> bytes:
    """Everything of an answer that comes before its body; whether the connection ends is never its word."""
    parts = [status_line(is_modern, status), *map(b": ".join, headers), date_line()]
    if closes:
        parts.append(CLOSE)
    elif not is_modern:
        parts.append(KEEP_ALIVE)
    parts.append(b"\r\n")
    return b"\r\n".join(parts)
