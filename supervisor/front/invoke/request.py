"""Parses an invocation's path, query, headers and time limit, all bounded.  Pure."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import unquote_to_bytes

from supervisor.errors import PlatformError, shown
from supervisor.front.invoke.callers.credential import unauthenticated
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome import refusals
from supervisor.front.outcome.header_policy import HOP_BY_HOP
from supervisor.front.outcome.refusals import METHODS
from worker.wire import HEADERS_MAX

# Asks for the end of the call's log beside the answer (``front.following.answer_tail``).
ASKS_FOR_LOGS = (b"x-cellblock-logs", b"tail")
# Go's time.ParseDuration, with the units that make sense for a call.
DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|us|µs|s|m|h))+")
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|s|m|h)")
SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}")
UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
# The wire's bound for a path or a query, once percent-decoded (worker.wire.KINDS).
PATH_MAX_CHARS = 32_768
HEADERS_MAX_BYTES = 32 * 1024

_HOP_BY_HOP = frozenset(name.encode() for name in HOP_BY_HOP)
# The request headers that the platform reads; any other is passed on unread.
_READ = _HOP_BY_HOP | {b"authorization", b"x-timeout", b"content-length", b"cookie", b"service-worker"}


class ParsedRequest(Protocol):
    """An HTTP request to a function; ``parse`` reads the first four fields and sets the others.

    ``event_headers`` are for the function; ``timeout`` is ``X-Timeout`` as it came.
    """

    asked: Asked
    method: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]

    path: str
    query: str
    event_headers: list[tuple[str, str]]
    authorization: bytes | None
    timeout: str | None
    content_length: int | None
    has_body: bool


def parse(request: ParsedRequest) -> None:
    """Sort a request into what is the platform's and what is the function's.

    PlatformError 401, 403, 405, 414, 431.
    """
    if request.method not in METHODS:
        raise refusals.not_a_method(request.method)
    tail = request.asked.tail
    query = request.query_string.decode("ascii")
    path = unquote_to_bytes(tail).decode("utf-8", "replace") if tail and tail != b"/" else "/"
    if len(path) > PATH_MAX_CHARS or len(query) > PATH_MAX_CHARS:
        raise PlatformError(
            414, f"the path or the query is longer than {PATH_MAX_CHARS} characters; use the body"
        )
    request.path, request.query = path, query
    _sort_headers(request)


def _sort_headers(request: ParsedRequest) -> None:
    passed: list[tuple[str, str]] = []
    authorization: bytes | None = None
    timeout: str | None = None
    content_length: int | None = None
    has_body = False
    named: set[bytes] | None = None
    size = 0
    for name, value in request.headers:
        size += len(name) + len(value)
        if name not in _READ:
            passed.append((name.decode("latin-1"), value.decode("latin-1")))
            continue
        if name in _HOP_BY_HOP:
            if name == b"transfer-encoding":
                has_body = True
            elif name == b"connection":
                named = (named or set()) | {token.strip().lower() for token in value.split(b",")}
            continue
        if name == b"authorization":
            if authorization is not None:
                # One of them may be ours and the other the function's: the platform takes neither.
                raise unauthenticated("two Authorization headers are nobody's credential; send one")
            authorization = value
        elif name == b"x-timeout":
            timeout = value.decode("latin-1")
        elif name == b"content-length":
            # One run of digits that is short enough to be read: supervisor.front.http.request_head.
            content_length = int(value)
            has_body = content_length > 0
        elif name == b"service-worker":
            request.asked.refuse_service_worker()
        elif name == b"cookie":
            trusted = request.asked.trusted_cookies(value.decode("latin-1"))
            if trusted is not None:
                passed.append(("cookie", trusted))
            continue
        passed.append((name.decode("latin-1"), value.decode("latin-1")))
    if len(passed) > HEADERS_MAX or size > HEADERS_MAX_BYTES:
        raise PlatformError(
            431,
            f"the request has more than {HEADERS_MAX} headers or {HEADERS_MAX_BYTES} bytes of them; "
            "send fewer",
        )
    if named:
        passed = [header for header in passed if header[0].encode("latin-1") not in named]
    request.event_headers = passed
    request.authorization, request.timeout = authorization, timeout
    request.content_length, request.has_body = content_length, has_body


def without_credential(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A function's headers without the credential that the platform has consumed."""
    return [header for header in headers if header[0] != "authorization"]


def timeout_of(text: str | None, limit_s: float) -> float:
    """Seconds for this call: ``X-Timeout`` where it is lower than the function's limit.

    Plain seconds or a Go duration such as ``1.5s``; 422 for anything else, and for 0.
    """
    if text is None:
        return limit_s
    stripped = text.strip()
    if SECONDS.fullmatch(stripped):
        seconds = float(stripped)
    elif len(stripped) <= 100 and DURATION.fullmatch(stripped):
        seconds = sum(float(number) * UNITS_S[unit] for number, unit in DURATION_PART.findall(stripped))
    else:
        seconds = 0.0
    if seconds <= 0:
        raise PlatformError(
            422,
            f"header X-Timeout {shown(text)} is not a time above 0; "
            "give seconds such as 1.5 or a duration such as 1.5s",
            {"header": "X-Timeout"},
        )
    return min(seconds, limit_s)
