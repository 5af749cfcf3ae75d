"""RFC 9112, 3.2 and 5: the Host, field names and values, line ends, and how much of them."""

from __future__ import annotations

from tests.contract.http.rows import (
    CLOSED,
    EITHER,
    GOT,
    OK,
    REFUSED,
    SMUGGLED,
    Outcome,
    get,
    row,
)

TOO_MUCH = [Outcome((431,), CLOSED)]
DONE = Outcome((OK,), CLOSED, (b"",))
# A line that a reader of bare line ends takes for the length of a body, and the body that it then skips.
HIDDEN = b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)


def field(line: bytes) -> bytes:
    """A GET with this line among its headers."""
    return get(line)


HOSTS = [
    row("no Host", get(host=b""), why="RFC 9112, 3.2: MUST be 400", is_attack=True),
    row("two Hosts", get(b"Host: y"), why="RFC 9112, 3.2: MUST be 400; host confusion", is_attack=True),
    row("two equal Hosts", get(b"Host: x"), why="RFC 9112, 3.2: MUST be 400"),
    row("two Hosts of which one is in capitals", get(b"HOST: y"), why="RFC 9112, 3.2: MUST be 400"),
    row("an empty Host", get(host=b"Host:"), why="RFC 9112, 3.2: valid without an authority",
        gets=[GOT, REFUSED]),
    row("a Host with a space", get(host=b"Host: a b"), why="RFC 9112, 3.2: an invalid value MUST be 400"),
    row("a Host with a slash", get(host=b"Host: x/y"), why="RFC 9112, 3.2: an invalid value MUST be 400"),
    row("a Host with a user", get(host=b"Host: u@x"), why="RFC 9112, 3.2: an invalid value MUST be 400"),
    row("a Host with a query", get(host=b"Host: x?y"), why="RFC 9112, 3.2: an invalid value MUST be 400"),
    row("a Host that is a list", get(host=b"Host: x, y"), why="RFC 9112, 3.2: an invalid value MUST be 400"),
    row("a Host with a port of letters", get(host=b"Host: x:http"), why="RFC 9110, 7.2: digits"),
    row("a Host with two ports", get(host=b"Host: x:80:80"), why="RFC 9110, 7.2"),
    row("a Host with an open bracket", get(host=b"Host: [::1"), why="RFC 3986, 3.2.2"),
    row("a Host with 8-bit letters", get(host=b"Host: b\xfccher"), why="RFC 3986, 3.2.2"),
    row("a Host with a tab in it", get(host=b"Host: x\ty"), why="RFC 9112, 3.2: an invalid value MUST be 400"),
    row("a Host with a port", get(host=b"Host: example.org:8080"), why="RFC 9110, 7.2", gets=GOT),
    row("a Host that is an IPv6 address", get(host=b"Host: [::1]:8080"), why="RFC 9110, 7.2", gets=GOT),
    row("a Host that ends in a dot", get(host=b"Host: example.org."), why="RFC 9110, 7.2", gets=GOT),
    row("a Host with an underscore", get(host=b"Host: a_b"), why="RFC 3986, 3.2.2: unreserved", gets=GOT),
    row("a Host with an empty port", get(host=b"Host: x:"), why="RFC 3986, 3.2.3", gets=[GOT, REFUSED]),
    row("HTTP/1.0 with no Host", get(host=b"", version=b"HTTP/1.0"), why="RFC 9112, 3.2: from 1.1 on",
        gets=DONE),
    row("HTTP/1.0 with two Hosts", get(b"Host: y", version=b"HTTP/1.0"), why="RFC 9112, 3.2: any request"),
]  # fmt: skip

NAMES = [
    row("a space before the colon", field(b"X-A : y"), why="RFC 9112, 5.1: MUST be 400", is_attack=True),
    row("a tab before the colon", field(b"X-A\t: y"), why="RFC 9112, 5.1: MUST be 400"),
    row("a space in a name", field(b"X A: y"), why="RFC 9110, 5.1: a token"),
    row("an empty name", field(b": y"), why="RFC 9110, 5.1: a token"),
    row("a line without a colon", field(b"X-A"), why="RFC 9112, 5"),
    row("a name with a bracket", field(b"X(A: y"), why="RFC 9110, 5.1: a token"),
    row("a name with a slash", field(b"X/A: y"), why="RFC 9110, 5.1: a token"),
    row("a name with an at", field(b"X@A: y"), why="RFC 9110, 5.1: a token"),
    row("a name in quotes", field(b'"X-A": y'), why="RFC 9110, 5.1: a token"),
    row("a name with an 8-bit letter", field(b"X-\xc4: y"), why="RFC 9110, 5.1: a token"),
    row("a name with a NUL", field(b"X\0A: y"), why="RFC 9110, 5.1: a token", is_attack=True),
    row("a name with a control character", field(b"X\x0bA: y"), why="RFC 9110, 5.1: a token"),
    row("a name with every other letter of a token", field(b"!#$%&'*+-.^_`|~09aZ: y"), why="RFC 9110, 5.6.2",
        gets=GOT, shows=[("!#$%&'*+-.^_`|~09az", "y")]),
]  # fmt: skip

VALUES = [
    row("a value that is empty", field(b"X-A:"), why="RFC 9110, 5.5", gets=GOT, shows=[("x-a", "")]),
    row("a value between spaces and tabs", field(b"X-A: \t y \t "), why="RFC 9112, 5.1: trimmed", gets=GOT,
        shows=[("x-a", "y")]),
    row("a value right behind the colon", field(b"X-A:y"), why="RFC 9112, 5.1", gets=GOT, shows=[("x-a", "y")]),
    row("a value with a tab in it", field(b"X-A: a\tb"), why="RFC 9110, 5.5", gets=GOT,
        shows=[("x-a", "a\tb")]),
    row("a value with 8-bit letters", field(b"X-A: \xe9"), why="RFC 9110, 5.5: obs-text", gets=GOT,
        shows=[("x-a", "\xe9")]),
    row("a value with a NUL", field(b"X-A: a\0b"), why="RFC 9110, 5.5: dangerous", is_attack=True),
    row("a value with a bare CR", field(b"X-A: a\rb"), why="RFC 9112, 2.2", is_attack=True),
    row("a value with a bare CR and a header behind it", field(b"X-A: a\rContent-Length: 5"),
        why="RFC 9112, 2.2; header splitting", is_attack=True),
    row("a value with a control character", field(b"X-A: a\x01b"), why="RFC 9110, 5.5"),
    row("a value with a DEL", field(b"X-A: a\x7fb"), why="RFC 9110, 5.5"),
    row("a value that goes on in the next line", field(b"X-A: a\r\n b"), why="RFC 9112, 5.2: obs-fold",
        is_attack=True),
    row("a value that begins in the next line", field(b"X-A:\r\n b"), why="RFC 9112, 5.2: obs-fold"),
    row("a value that goes on after a tab", field(b"X-A: a\r\n\tb"), why="RFC 9112, 5.2: obs-fold"),
    row("a line of a space only", field(b"X-A: a\r\n "), why="RFC 9112, 5.2: obs-fold"),
    row("a space before the first header", b"GET <T> HTTP/1.1\r\n Host: x\r\nHost: x\r\n<A>\r\n",
        why="RFC 9112, 2.2: MUST be 400 or skipped"),
]  # fmt: skip

LINE_ENDS = [
    row("a header that ends in a bare LF", b"GET <T> HTTP/1.1\r\nX: y\nHost: x\r\n<A>\r\n",
        why="RFC 9112, 2.2: MAY; refused here", is_attack=True),
    row("a head of bare LFs", b"GET <T> HTTP/1.1\nHost: x\n\n", why="RFC 9112, 2.2: MAY; refused here"),
    row("a request line that ends in a bare LF", b"GET <T> HTTP/1.1\nHost: x\r\n<A>\r\n", why="RFC 9112, 2.2"),
    row("a request line that ends in a bare CR", b"GET <T> HTTP/1.1\rHost: x\r\n<A>\r\n", why="RFC 9112, 2.2"),
    row("a header that ends in a bare CR", b"GET <T> HTTP/1.1\r\nX: y\rHost: x\r\n<A>\r\n", why="RFC 9112, 2.2"),
    row("a header that ends in two CRs", b"GET <T> HTTP/1.1\r\nX: y\r\r\nHost: x\r\n<A>\r\n",
        why="RFC 9112, 2.2"),
    row("a head that ends in a bare LF", b"GET <T> HTTP/1.1\r\nHost: x\r\n<A>\n", why="RFC 9112, 2.2"),
    row("a head that ends in a bare CR", b"GET <T> HTTP/1.1\r\nHost: x\r\n<A>\rX: y\r\n\r\n", why="RFC 9112, 2.2"),
    row("a length behind a bare LF", get(b"X: y\n" + HIDDEN) + SMUGGLED,
        why="RFC 9112, 2.2; smuggling by a bare LF", is_attack=True),
    row("a length behind a bare CR", get(b"X: y\r" + HIDDEN) + SMUGGLED,
        why="RFC 9112, 2.2; smuggling by a bare CR", is_attack=True),
    row("a head that ends behind a bare LF", b"GET <T> HTTP/1.1\r\nHost: x\r\n<A>X: y\n\r\n" + SMUGGLED,
        why="RFC 9112, 2.2; smuggling by a bare LF", is_attack=True),
]  # fmt: skip

SIZES = [
    row("a header of 16 KiB", field(b"X-A: " + b"y" * (16 << 10)), why="RFC 9110, 5.4", gets=GOT),
    row("a header of 64 KiB", field(b"X-A: " + b"y" * (64 << 10)), why="RFC 6585, 5; W3", gets=TOO_MUCH,
        is_attack=True),
    row("a header's name of 64 KiB", field(b"X" * (64 << 10) + b": y"), why="RFC 6585, 5; W3", gets=TOO_MUCH,
        is_attack=True),
    row("headers of 64 KiB together", field(b"\r\n".join(b"X-%d: %s" % (n, b"y" * 1000) for n in range(66))),
        why="RFC 6585, 5; W3", gets=TOO_MUCH, is_attack=True),
    row("two hundred headers", field(b"\r\n".join(b"X-%d: y" % n for n in range(200))), why="RFC 6585, 5",
        gets=GOT),
    row("three hundred headers", field(b"\r\n".join(b"X-%d: y" % n for n in range(300))), why="RFC 6585, 5",
        gets=[Outcome((431,), EITHER)], is_attack=True),
    row("five thousand headers without a value", field(b"\r\n".join([b"a:"] * 5000)), why="RFC 6585, 5; W3",
        gets=TOO_MUCH, is_attack=True),
]  # fmt: skip

ROWS = [*HOSTS, *NAMES, *VALUES, *LINE_ENDS, *SIZES]
