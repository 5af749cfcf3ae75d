"""What a caller asked for, out of an ASGI scope: pure parsing of paths and headers, all bounded."""

from __future__ import annotations

import itertools
import re
import secrets
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes

from supervisor.errors import PlatformError, shown
from supervisor.front.invoke import origins
from supervisor.front.invoke.credential import unauthenticated
from supervisor.front.invoke.origins import INVOKE as INVOKE
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome.header_policy import HOP_BY_HOP
from worker.wire import HEADERS_MAX

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
CALL_ID = re.compile(r"[A-Za-z0-9._:@=+-]{1,128}")
# Go's time.ParseDuration, the units that make sense for a call.
DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|us|µs|s|m|h))+")
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|s|m|h)")
SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}")
UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
# What the wire's head leaves for a path or query, once percent-decoded (worker.wire.KINDS).
PATH_MAX_CHARS = 32_768
HEADERS_MAX_BYTES = 32 * 1024

_HOP_BY_HOP = frozenset(name.encode() for name in HOP_BY_HOP)
# Of a request; any other header is the function's, unread.
_READ = _HOP_BY_HOP | {b"authorization", b"x-timeout", b"content-length", b"cookie", b"service-worker"}


class Request(Protocol):
    """What is read of an HTTP request; ``match`` is what ``origins.recognise`` gives for it."""

    match: Asked
    method: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]


class _Ids:
    """What this front's call ids are made of; a forked front must call ``renew_ids``."""

    prefix = secrets.token_hex(8)
    numbers = itertools.count(1)


_ids = _Ids()


def renew_ids() -> None:
    """After a fork: two fronts may not give out the same call ids."""
    _ids.prefix = secrets.token_hex(8)
    _ids.numbers = itertools.count(1)


@dataclass(slots=True)
class Call:
    """One request to a function, its headers sorted into what is ours and what is the function's."""

    method: str
    space: str
    name: str
    path: str
    query: str
    call_id: str
    headers: list[tuple[str, str]]
    authorization: bytes | None
    timeout: str | None
    content_length: int | None
    has_body: bool

    def without_credential(self) -> list[tuple[str, str]]:
        """The headers without the credential that the platform consumed."""
        return [header for header in self.headers if header[0] != "authorization"]


def call_id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The caller's own valid ``X-Call-Id``, else a new one."""
    for name, value in headers:
        if name == b"x-call-id":
            text = value.decode("latin-1")
            if CALL_ID.fullmatch(text):
                return text
    # Not uuid4, whose system call and formatting are a tenth of a warm call's work here.  A call id has
    # to be unlike all others, not secret: 64 random bits of this front, then a count.
    return f"{_ids.prefix}-{next(_ids.numbers):08x}"


def not_a_method(method: str) -> PlatformError:
    """The 405 of an invocation; the same whether the function exists or not."""
    hint = "; a browser's preflight is answered where the function's option cors has its origin"
    return PlatformError(
        405,
        f"method {shown(method)} never reaches a function; use one of {', '.join(METHODS)}"
        + (hint if method == "OPTIONS" else ""),
        headers={"Allow": ", ".join(METHODS)},
    )


def parse(request: Request, call_id: str) -> Call:
    """The call that a request is.  PlatformError 401, 403, 405, 414, 431."""
    method = request.method
    if method not in METHODS:
        raise not_a_method(method)
    space, name, tail = request.match.groups()
    query = request.query_string.decode("ascii")
    path = unquote_to_bytes(tail).decode("utf-8", "replace") if tail and tail != b"/" else "/"
    if len(path) > PATH_MAX_CHARS or len(query) > PATH_MAX_CHARS:
        raise PlatformError(
            414, f"the path or the query is longer than {PATH_MAX_CHARS} characters; use the body"
        )
    call = Call(
        method,
        space.decode("latin-1"),
        name.decode("latin-1"),
        path,
        query,
        call_id,
        [],
        None,
        None,
        None,
        False,
    )
    _sort_headers(call, request.headers, request.match)
    return call


def _sort_headers(call: Call, headers: list[tuple[bytes, bytes]], asked: Asked) -> None:
    named: set[bytes] | None = None
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name not in _READ:
            call.headers.append((name.decode("latin-1"), value.decode("latin-1")))
            continue
        if name in _HOP_BY_HOP:
            if name == b"transfer-encoding":
                call.has_body = True
            elif name == b"connection":
                named = (named or set()) | {token.strip().lower() for token in value.split(b",")}
            continue
        if name == b"authorization":
            if call.authorization is not None:
                # One of them may be ours and the other the function's: neither is anybody's.
                raise unauthenticated("two Authorization headers are nobody's credential; send one")
            call.authorization = value
        elif name == b"x-timeout":
            call.timeout = value.decode("latin-1")
        elif name == b"content-length":
            # One run of digits that is no longer than can be read: supervisor.front.http.request_head.
            call.content_length = int(value)
            call.has_body = call.content_length > 0
        elif name == b"service-worker":
            origins.refuse_worker(asked)
        elif name == b"cookie":
            own = origins.cookie_for(asked, value.decode("latin-1"))
            if own is not None:
                call.headers.append(("cookie", own))
            continue
        call.headers.append((name.decode("latin-1"), value.decode("latin-1")))
    if len(call.headers) > HEADERS_MAX or size > HEADERS_MAX_BYTES:
        raise PlatformError(
            431,
            f"the request has more than {HEADERS_MAX} headers or {HEADERS_MAX_BYTES} bytes of them; "
            "send fewer",
        )
    if named:
        call.headers = [header for header in call.headers if header[0].encode("latin-1") not in named]


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
