"""What the head of a request may be, beyond what llhttp refuses by itself.  Pure.

llhttp checks each byte; what it leaves is what RFC 9112 wants of the head as a whole.  Two servers that read
one head differently are how requests are smuggled, so whatever can be read in two ways is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from supervisor.errors import SHOWN_MAX_CHARS, PlatformError
from supervisor.front.invoke.request import INVOKE, not_a_method
from supervisor.front.outcome.answers import Headers
from worker.wire import HEADERS_MAX

# The whole head, request line and line ends included: what a front holds before it knows who is asking.
HEAD_MAX_BYTES = 32 * 1024
# As large as what other servers and proxies take.
REQUEST_LINE_MAX_BYTES = 8190
HEADERS_MOST = HEADERS_MAX
# Digits of a length that is worth reading as a number: 999 TB.
LENGTH_MAX_DIGITS = 15

# RFC 9110, 7.2 and RFC 3986, 3.2: a name, an address in brackets, perhaps a port; no user, no path, and none
# of the delimiters that a name might have and no host has.
HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
BEGUN_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?: [ -~\r]*)?")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.[01]\r\n")
NOT_ASCII = re.compile(rb"[\x80-\xff]")
# The headers that say where a request goes and how it is framed; each may stand once.
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
    """A refusal by ``WHY``'s sentence; ``why`` may quote the request."""
    return PlatformError(status, WHY[status].format(why[:SHOWN_MAX_CHARS]))


def headers_refused() -> PlatformError:
    """431."""
    return refusal(431, f"more than {HEADERS_MOST} headers or {HEAD_MAX_BYTES} bytes of head")


class Target(NamedTuple):
    """Where a request goes.  ``host`` is that of the absolute form, which counts more than ``Host``."""

    path: bytes
    query: bytes
    host: bytes | None = None


def target_of(url: bytes, method: bytes) -> Target:
    """The request's target in any form that RFC 9112, 3.2 knows.  PlatformError 400."""
    if b"#" in url:
        raise refusal(400, "a fragment in the target")
    if url[:1] == b"/":
        path, _, query = url.partition(b"?")
        return Target(path, query)
    if method == b"CONNECT":
        raise refusal(501, "there are no tunnels")
    if url == b"*" and method == b"OPTIONS":
        return Target(url, b"")
    match = ABSOLUTE.fullmatch(url)
    if match is None:
        raise refusal(400, "a target that is neither a path nor a URL")
    host, path, query = match.groups()
    if not host or not HOST.fullmatch(host):
        raise refusal(400, "a URL without a valid host")
    return Target(path or b"/", query or b"", host)


def no_version(version: str) -> PlatformError:
    """Neither 1.0 nor 1.1."""
    if version < "2":
        return refusal(400, f"HTTP/{version}")
    return refusal(505, f"HTTP/{version}")


def first_line(data: bytes) -> bytes:
    """As much of the first line as is there, with its end; empty ones before it are none (RFC 9112, 2.2)."""
    line, newline, _ = data.lstrip(b"\r\n").partition(b"\n")
    return line + newline


def is_http(line: bytes) -> bool:
    """Whether the first line names HTTP: llhttp knows other protocols of that form."""
    return b" HTTP/" in line


def is_odd_line(line: bytes) -> bool:
    """Whether enough of a first line is there to say what is odd about it."""
    return b"\n" in line or len(line) > REQUEST_LINE_MAX_BYTES or not BEGUN_LINE.fullmatch(line)


def escaped(data: bytes) -> bytes:
    """With the first line as if it had been percent-encoded: many clients send text as it is."""
    if data.isascii():
        return data
    begin = len(data) - len(data.lstrip(b"\r\n"))  # empty lines before it are none
    line, newline, rest = data[begin:].partition(b"\n")
    return data[:begin] + NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line) + newline + rest


def odd_method(line: bytes) -> PlatformError:
    """What becomes of a request whose method llhttp does not know; ``line`` begins with its first line."""
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
    """A URL's host is the one that counts, whatever the header says (RFC 9112, 3.2.2)."""
    return [(b"host", host), *(header for header in headers if header[0] != b"host")]


class Framing(NamedTuple):
    """How a request's body comes: so many bytes, or chunks; ``is_awaited``: once it has been asked for."""

    length: int
    is_chunked: bool
    is_awaited: bool


NO_BODY = Framing(0, False, False)


def framing_of(seen: dict[bytes, bytes], is_modern: bool, *, is_upgrade: bool) -> Framing:
    """What the headers of ``FRAMING`` come to; llhttp has refused a length beside chunks.

    ``is_modern``: HTTP/1.1.  PlatformError 400, 413, 417.
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
    """A valid ``Host``, which HTTP/1.1 wants (RFC 9112, 3.2).  PlatformError 400."""
    if host is None:
        if is_modern:
            raise refusal(400, "no Host header")
        return
    if not HOST.fullmatch(host):
        raise refusal(400, "a Host header that is no host")


def asks_to_be_kept(headers: Headers) -> bool:
    """Of HTTP/1.0: by RFC 9112, 9.3, "close" comes first.  What a proxy was told is nobody else's."""
    options = {
        option.strip(b" \t").lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }
    return b"keep-alive" in options and b"close" not in options
