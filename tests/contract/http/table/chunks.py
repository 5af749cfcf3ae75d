"""RFC 9112, 7.1: chunk sizes, extensions, line ends within a body, and trailers, which are dropped."""

from __future__ import annotations

from tests.contract.http.rows import (
    BODY,
    CHUNK,
    CLOSED,
    EITHER,
    KEPT,
    LAST,
    OK,
    READ,
    REFUSED,
    SERVED,
    SHUT,
    SMUGGLED,
    Outcome,
    Row,
    chunked,
    row,
)

BOTH = Outcome((OK, OK), KEPT, (BODY,), smuggled=1)
UNENDED = [Outcome((), CLOSED), REFUSED, Outcome((408,), CLOSED), Outcome((413,), CLOSED)]
TOO_MUCH = [REFUSED, Outcome((431,), CLOSED), Outcome((413,), CLOSED)]
DROPPED = [SERVED, REFUSED]


def huge(text: bytes, name: str, why: str = "RFC 9112, 7.1: overflow") -> Row:
    """As ``size``, of more than anybody may send: all that follows is a body, which then does not end."""
    data = chunked(text + b"\r\n" + BODY + b"\r\n" + LAST) + SMUGGLED
    return row(f"a chunk size {name}", data, READ, SHUT, why=why, is_attack=True, gets=UNENDED)


def size(text: bytes, name: str, why: str = "RFC 9112, 7.1: 1*HEXDIG", **keywords: object) -> Row:
    """A body of one chunk whose size is written like this, with a request behind it."""
    data = chunked(text + b"\r\n" + BODY + b"\r\n" + LAST)
    return row(f"a chunk size {name}", data + SMUGGLED, why=why, is_attack=True, **keywords)  # type: ignore[arg-type]


def extension(text: bytes, name: str, why: str = "RFC 9112, 7.1.1", **keywords: object) -> Row:
    """A body of one chunk with this behind its size, with a request behind it."""
    data = chunked(b"b" + text + b"\r\n" + BODY + b"\r\n" + LAST)
    return row(f"a chunk extension {name}", data + SMUGGLED, why=why, is_attack=True, **keywords)  # type: ignore[arg-type]


def trailer(lines: bytes, name: str, why: str = "RFC 9110, 6.5.1", **keywords: object) -> Row:
    """A chunked body with these trailers."""
    return row(f"a trailer {name}", chunked(CHUNK + b"0\r\n" + lines + b"\r\n"), why=why, **keywords)  # type: ignore[arg-type]


SIZES = [
    size(b"b", "as it should be", gets=BOTH),
    size(b"B", "in a capital", gets=BOTH),
    size(b"0b", "with a zero", gets=[BOTH, REFUSED]),
    size(b"0" * 300 + b"b", "with three hundred zeros", gets=[BOTH, REFUSED]),
    size(b"0xb", "with a prefix"),
    size(b"+b", "with a plus"),
    size(b"-b", "with a minus"),
    size(b" b", "behind a space"),
    size(b"\tb", "behind a tab"),
    size(b"b ", "before a space", why="RFC 9112, 7.1.1: whitespace before a semicolon only"),
    size(b"b\t", "before a tab", why="RFC 9112, 7.1.1: whitespace before a semicolon only"),
    size(b"0_b", "with an underscore"),
    size(b"b.", "with a point"),
    size(b"g", "of a letter that is no digit"),
    size(b'"b"', "in quotes"),
    size(b"", "that is empty"),
    size(b"b\0", "before a NUL"),
    size(b"\xefb", "behind an 8-bit letter"),
    huge(b"fffffffffffffff", "of fifteen digits"),
    huge(b"ffffffffffffffff", "of sixteen digits"),
    huge(b"8000000000000000", "that is negative in 64 bits"),
    huge(b"1000000000000000b", "that wraps at 64 bits"),
    huge(b"10000000b", "that wraps at 32 bits"),
    huge(b"1" + b"0" * 31 + b"b", "that wraps at 128 bits"),
    size(b"a", "one too small", why="RFC 9112, 7.1: CRLF behind the data"),
    size(b"c", "one too large", why="RFC 9112, 7.1: CRLF behind the data"),
]  # fmt: skip

EXTENSIONS = [
    extension(b";a", "without a value", gets=BOTH),
    extension(b";a=b", "with a value", gets=BOTH),
    extension(b';a="b"', "with a value in quotes", gets=BOTH),
    extension(b';a="b;c=\\"d"', "with a semicolon and a quote in quotes", gets=[BOTH, REFUSED]),
    extension(b";a;b=c;d", "thrice", gets=BOTH),
    extension(b" ; a = b", "between spaces", why="RFC 9112, 7.1.1: BWS", gets=[BOTH, REFUSED]),
    extension(b";" + b"a" * 1000, "of a thousand letters", gets=BOTH),
    extension(b";" + b"a" * 70_000, "of seventy thousand letters", why="RFC 9112, 7.1.1: a limit; W2",
              gets=TOO_MUCH),
    extension(b";", "without a name", gets=[BOTH, REFUSED]),
    extension(b";a=", "with an empty value", gets=[BOTH, REFUSED]),
    extension(b";=b", "with an empty name", gets=[BOTH, REFUSED]),
    extension(b';a="b', "with an open quote", gets=REFUSED),
    extension(b";a\0", "with a NUL"),
    extension(b";a\n", "before a bare LF", why="RFC 9112, 2.2; TERM.EXT"),
    extension(b";a\nb", "with a bare LF in it", why="RFC 9112, 2.2; EXT.TERM"),
    extension(b";\nxx", "that is a bare LF and two letters", why="RFC 9112, 2.2; TERM.EXT"),
    extension(b";a\rb", "with a bare CR in it", why="RFC 9112, 2.2; EXT.TERM"),
    extension(b';a="\r\n"', "with a line end in quotes", why="RFC 9112, 7.1.1"),
    row("a last chunk with an extension", chunked(CHUNK + b"0;a=b\r\n\r\n"), why="RFC 9112, 7.1", gets=SERVED),
    row("a thousand chunks of nothing but extensions and a byte",
        chunked(b"1;a=b\r\n \r\n" * 1000 + CHUNK + LAST), why="RFC 9112, 7.1.1",
        gets=Outcome((OK,), KEPT, (b" " * 1000 + BODY,))),
]  # fmt: skip

LINE_ENDS = [
    row("no line end behind a chunk", chunked(b"b\r\n" + BODY + LAST) + SMUGGLED, why="RFC 9112, 7.1",
        is_attack=True),
    row("two letters for a line end behind a chunk", chunked(b"b\r\n" + BODY + b"xx" + LAST) + SMUGGLED,
        why="RFC 9112, 7.1; data spilled", is_attack=True),
    row("a bare LF behind a size", chunked(b"b\n" + BODY + b"\r\n" + LAST) + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("a bare LF behind a chunk", chunked(b"b\r\n" + BODY + b"\n" + LAST) + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("a bare CR behind a chunk", chunked(b"b\r\n" + BODY + b"\r" + LAST) + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("a bare CR behind a size", chunked(b"b\r" + BODY + b"\r\n" + LAST) + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("two CRs behind a size", chunked(b"b\r\r\n" + BODY + b"\r\n" + LAST) + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("bare LFs in all of a chunked body", chunked(b"b\n" + BODY + b"\n0\n\n") + SMUGGLED,
        why="RFC 9112, 2.2", is_attack=True),
    row("a bare LF behind the last size", chunked(CHUNK + b"0\n\r\n") + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("a bare LF behind the last chunk", chunked(CHUNK + b"0\r\n\n") + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("a bare CR behind the last chunk", chunked(CHUNK + b"0\r\n\r") + SMUGGLED, why="RFC 9112, 2.2",
        is_attack=True),
    row("an empty line between two chunks", chunked(CHUNK + b"\r\n" + LAST) + SMUGGLED, why="RFC 9112, 7.1",
        is_attack=True),
    row("a last chunk of three zeros", chunked(CHUNK + b"000\r\n\r\n"), why="RFC 9112, 7.1: 1*(\"0\")",
        gets=[SERVED, REFUSED]),
    row("a body of no chunk", chunked(LAST), why="RFC 9112, 7.1", gets=Outcome((OK,), KEPT, (b"",)),
        only="call"),
    row("a body in chunks of one byte", chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + LAST),
        why="RFC 9112, 7.1", gets=SERVED),
    row("a chunk of what looks like a last chunk and a request",
        chunked(b"%x\r\n" % (len(LAST) + len(SMUGGLED)) + LAST + SMUGGLED + b"\r\n" + LAST),
        why="RFC 9112, 7.1: data is data", is_attack=True, only="call",
        gets=Outcome((OK,), KEPT, (LAST + SMUGGLED,))),
]  # fmt: skip

TRAILERS = [
    trailer(b"X-Trailer: 1\r\n", "of one's own", gets=SERVED, hides=["x-trailer"]),
    trailer(b"X-Trailer: 1\r\n" * 20, "of one's own twenty times", gets=SERVED, hides=["x-trailer"]),
    trailer(b"Content-Type: text/html\r\n", "that is a header too", gets=SERVED,
            shows=[("content-type", "application/json")]),
    trailer(b"X-Call-Id: forged\r\n", "that names the call", gets=SERVED, hides=["x-call-id"], is_attack=True),
    trailer(b"X-Timeout: 0.001\r\n", "that speaks to the platform", gets=SERVED, hides=["x-timeout"],
            is_attack=True),
    trailer(b"Content-Length: 5\r\n", "that is a length", gets=DROPPED, is_attack=True,
            why="RFC 9110, 6.5.1: MUST NOT frame"),
    trailer(b"Transfer-Encoding: chunked\r\n", "that is a coding", gets=DROPPED, is_attack=True,
            why="RFC 9110, 6.5.1: MUST NOT frame"),
    trailer(b"Host: other\r\n", "that is a Host", gets=DROPPED, is_attack=True,
            why="RFC 9110, 6.5.1: MUST NOT route", shows=[("host", "x")]),
    trailer(b"Connection: close\r\n", "that ends the connection", why="RFC 9110, 6.5.1",
            gets=[SERVED, REFUSED, Outcome((OK,), CLOSED, (BODY,))]),
    trailer(b"Expect: 100-continue\r\n", "that expects", gets=DROPPED),
    trailer(b"X-Trailer\r\n", "without a colon", why="RFC 9112, 7.1.2"),
    trailer(b"X-Trailer : 1\r\n", "with a space before the colon", why="RFC 9112, 5.1"),
    trailer(b": 1\r\n", "without a name", why="RFC 9110, 5.1"),
    trailer(b"X-Trailer: 1\r\n 2\r\n", "that goes on in the next line", why="RFC 9112, 5.2: obs-fold"),
    trailer(b"X-Trailer: 1\nX: 2\r\n", "that ends in a bare LF", why="RFC 9112, 2.2"),
    trailer(b"X-Trailer: 1\rX: 2\r\n", "with a bare CR in it", why="RFC 9112, 2.2"),
    trailer(b"X-Trailer: \0\r\n", "with a NUL in it", why="RFC 9110, 5.5"),
    trailer(b"X-Trailer: " + b"y" * 100_000 + b"\r\n", "of a hundred thousand bytes", gets=TOO_MUCH,
            why="RFC 6585, 5; W2", is_attack=True),
    trailer(b"X-Trailer: 1\r\n" * 10_000, "ten thousand times", gets=TOO_MUCH, why="RFC 6585, 5; W2",
            is_attack=True),
    row("a credential that comes as a trailer", b"PUT <T> HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n<K>"
        b"\r\n" + CHUNK + b"0\r\n<A>\r\n", why="RFC 9110, 6.5.1: MUST NOT authenticate", is_attack=True,
        gets=[Outcome((401,), EITHER), REFUSED]),
    row("another credential that comes as a trailer", chunked(CHUNK + b"0\r\nAuthorization: Basic eDp5\r\n\r\n"),
        why="RFC 9110, 6.5.1: MUST NOT authenticate", is_attack=True, gets=DROPPED, hides=["authorization"]),
]  # fmt: skip

ROWS = [*SIZES, *EXTENSIONS, *LINE_ENDS, *TRAILERS]
