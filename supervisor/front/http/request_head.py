"""Checks the head of a request, beyond what llhttp refuses by itself.  Pure.

llhttp checks each byte; this checks what RFC 9112 wants of the head as a whole.  Requests are smuggled where
two servers read one head differently, so a head that can be read in two ways is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from supervisor.errors import SHOWN_MAX_CHARS, PlatformError
from supervisor.front.invoke.origins import INVOKE
from supervisor.front.outcome.answers import Headers
from supervisor.front.outcome.refusals import not_a_method
from worker.wire import HEADERS_MAX

# The whole head with request line and line ends: a front holds it before it knows the caller.
HEAD_MAX_BYTES = 32 * 1024
# What other servers and proxies take too.
REQUEST_LINE_MAX_BYTES = 8190
HEADERS_MOST = HEADERS_MAX
# A longer Content-Length is refused unread: 15 digits are 999 TB.
LENGTH_MAX_DIGITS = 15

# RFC 9110, 7.2 and RFC 3986, 3.2: a name or an address in brackets, perhaps a port; no user and no path.
# RFC 3986 lets a name have delimiters, which no real host has: they are refused.
HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
BEGUN_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?: [ -~\r]*)?")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.[01]\r\n")
NOT_ASCII = re.compile(rb"[\x80-\xff]")
# The headers that say where a request goes and how it is framed; each may come once.
FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})

WHY = {
    400: "the request is not HTTP as this server reads it: {}; correct the client",
    408: "the request did not arrive in time: {}; send it faster",
    414: "the request's first line is too long: {}; use the body",
    417: "the expectation cannot be met: {}; leave the header out",
    431: "the request's headers are too many or too large: {}; send fewer",
    501: "the method is not known here: {}; use another",
    505: "this version of HTTP is not spoken here: {}; use HTTP/1.1",
}


def refusal(status: int, why: str) -> PlatformError:
    """A refusal in the sentence of ``WHY``; ``why`` may quote the request."""
    return PlatformError(status, WHY[status].format(why[:SHOWN_MAX_CHARS]))


def headers_refused() -> PlatformError:
    """431 for too many or too large headers."""
    return refusal(431, f"more than {HEADERS_MOST} headers or {HEAD_MAX_BYTES} bytes of head")


class RequestTarget(NamedTuple):
    """A request's target.  ``host`` is that of the absolute form, which overrides ``Host``."""

    path: bytes
    query: bytes
    host: bytes | None = None


def target_of(url: bytes, method: bytes) -> RequestTarget:
    """Parses a target in any form of RFC 9112, 3.2.  PlatformError 400, 501."""
    if b"#" in url:
        raise refusal(400, "a fragment in the target")
    if url[:1] == b"/":
        path, _, query = url.partition(b"?")
        return RequestTarget(path, query)
    if method == b"CONNECT":
        raise refusal(501, "there are no tunnels")
    if url == b"*" and method == b"OPTIONS":
        return RequestTarget(url, b"")
    match = ABSOLUTE.fullmatch(url)
    if match is None:
        raise refusal(400, "a target that is neither a path nor a URL")
    host, path, query = match.groups()
    if not host or not HOST.fullmatch(host):
        raise refusal(400, "a URL without a valid host")
    return RequestTarget(path or b"/", query or b"", host)


def no_version(version: str) -> PlatformError:
    """The refusal of a version that is neither 1.0 nor 1.1."""
    if version < "2":
        return refusal(400, f"HTTP/{version}")
    return refusal(505, f"HTTP/{version}")


def first_line(data: bytes) -> bytes:
    """As much of the first line as has come; empty lines before it do not count (RFC 9112, 2.2)."""
    line, newline, _ = data.lstrip(b"\r\n").partition(b"\n")
    return line + newline


def is_http(line: bytes) -> bool:
    """Whether the first line names HTTP, and not another protocol of that form that llhttp knows."""
    return b" HTTP/" in line


def is_odd_line(line: bytes) -> bool:
    """Whether enough of an invalid first line has come to say what is wrong with it."""
    return b"\n" in line or len(line) > REQUEST_LINE_MAX_BYTES or not BEGUN_LINE.fullmatch(line)


def escaped(data: bytes) -> bytes:
    """The data with a percent-encoded first line: many clients send text as it is."""
    if data.isascii():
        return data
    begin = len(data) - len(data.lstrip(b"\r\n"))  # empty lines before it do not count
    line, newline, rest = data[begin:].partition(b"\n")
    return data[:begin] + NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line) + newline + rest


def odd_method(line: bytes) -> PlatformError:
    """The refusal of a method that llhttp does not know; ``line`` begins with the first line."""
    match = REQUEST_LINE.match(line)
    if match is None:
        return refusal(400, "its first line is none")
    method, url = match.groups()
    try:
        target = target_of(url, method)
    except PlatformError as error:
        return error
    if INVOKE.fullmatch(target.path):
        return not_a_method(method.decode("ascii"))
    return refusal(501, method.decode("ascii"))


def with_host(headers: Headers, host: bytes) -> Headers:
    """The headers with the target's host, which overrides the header (RFC 9112, 3.2.2)."""
    return [(b"host", host), *(header for header in headers if header[0] != b"host")]


class Framing(NamedTuple):
    """How a body comes: ``length`` bytes, or chunks.  ``is_awaited``: the caller waits for 100 Continue."""

    length: int
    is_chunked: bool
    is_awaited: bool


NO_BODY = Framing(0, False, False)


def framing_of(seen: dict[bytes, bytes], is_modern: bool, *, is_upgrade: bool) -> Framing:
    """How long the body is, from the headers that say so.  PlatformError 400, 413, 417.

    ``is_modern``: the request is HTTP/1.1.  llhttp has refused a Content-Length beside chunks already, which
    is the commonest way to smuggle a request.
    """
    coding = seen.get(b"transfer-encoding")
    if coding is not None:
        if not is_modern:
            raise refusal(400, "Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise refusal(400, "a transfer coding other than chunked")
        if is_upgrade:
            raise refusal(400, "chunks in a request that asks for another protocol")
    expectation = seen.get(b"expect")
    is_awaited = False
    if expectation is not None and is_modern:
        if expectation.lower() != b"100-continue":
            raise refusal(417, "it is not 100-continue")
        is_awaited = True
    digits = seen.get(b"content-length", b"").lstrip(b"0")
    if len(digits) > LENGTH_MAX_DIGITS:
        raise PlatformError(
            413, f"the request's body would be {digits[:20].decode('latin-1')}… bytes; send less"
        )
    length = int(digits or b"0")
    return Framing(length, coding is not None, is_awaited and bool(length or coding))


def check_host(host: bytes | None, is_modern: bool) -> None:
    """Refuse an invalid ``Host``, and in HTTP/1.1 a missing one (RFC 9112, 3.2).  PlatformError 400."""
    if host is None:
        if is_modern:
            raise refusal(400, "no Host header")
        return
    if not HOST.fullmatch(host):
        raise refusal(400, "a Host header that is no host")


def asks_to_be_kept(headers: Headers) -> bool:
    """Whether an HTTP/1.0 request asks for a kept connection; "close" wins (RFC 9112, 9.3).

    ``Proxy-Connection`` does not count: it is for a proxy only.
    """
    options = {
        option.strip(b" \t").lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }
    return b"keep-alive" in options and b"close" not in options
