"""RFC 9112, 6: where a body ends.  CL.TE, TE.CL and TE.TE: two readers that disagree on it.

A body is followed by a whole request, ``SMUGGLED``; whichever reading the server takes, it is nobody's call.
"""

from __future__ import annotations

from tests.contract.http.rows import (
    BODY,
    CHUNK,
    CLOSED,
    KEPT,
    LAST,
    OK,
    REFUSED,
    SMUGGLED,
    Outcome,
    Row,
    get,
    put,
    row,
)

TOO_LARGE = [REFUSED, Outcome((413,), CLOSED)]
# RFC 9112, 6.1: 501 for a coding that it does not know, which the house's rule makes a 400 as well.
NO_CODING = [REFUSED, Outcome((501,), CLOSED)]
BOTH = Outcome((OK, OK), KEPT, (BODY,), smuggled=1)
ONE = Outcome((OK,), CLOSED, (BODY,))


def length(
    value: bytes, name: str, why: str = "RFC 9110, 8.6: digits", body: bytes = BODY, **keywords: object
) -> Row:
    """A PUT whose Content-Length is this, with a request behind its body."""
    data = put(b"Content-Length:" + value, length=False, body=body)
    return row(f"a length that is {name}", data + SMUGGLED, why=why, is_attack=True, **keywords)  # type: ignore[arg-type]


def coding(line: bytes, name: str, why: str = "RFC 9112, 6.1; TE.TE", **keywords: object) -> Row:
    """A chunked body under this line instead of the one that says so, with a request behind it."""
    data = put(line, body=CHUNK + LAST, length=False)
    return row(f"a coding {name}", data + SMUGGLED, why=why, is_attack=True, **keywords)  # type: ignore[arg-type]


def both(line: bytes, name: str, why: str) -> Row:
    """A length that covers the next request, and a coding by which it is one."""
    return row(
        f"a length and a coding {name}",
        put(line, body=LAST + SMUGGLED),
        why=why,
        is_attack=True,
        gets=NO_CODING,
    )


LENGTHS = [
    length(b" 11", "right", why="RFC 9112, 6.2", gets=BOTH),
    length(b" 11\t ", "right, with spaces behind it", why="RFC 9112, 5.1", gets=BOTH),
    length(b"11", "right behind the colon", why="RFC 9112, 5.1", gets=BOTH),
    length(b" 0000011", "written with zeros", why="RFC 9110, 8.6: 1*DIGIT", gets=[BOTH, REFUSED]),
    length(b"", "empty", body=b""),
    length(b" \t", "blank", body=b""),
    length(b" -1", "negative", body=b""),
    length(b" -11", "negative by its sign only"),
    length(b" +11", "signed"),
    length(b" 0xb", "hexadecimal"),
    length(b" 11.0", "with a point"),
    length(b" 11e0", "with an exponent"),
    length(b" 1_1", "with an underscore"),
    length(b" 1 1", "with a space in it"),
    length(b" 11;a=b", "with a parameter"),
    length(b" 11,", "a list with nothing behind it"),
    length(b" 11, 11", "a list of equal ones", why="RFC 9110, 8.6: MAY; refused here"),
    length(b" 11, 12", "a list of different ones", why="RFC 9112, 6.3: MUST be an error"),
    length(b" '11'", "in quotes"),
    length(b" \xb1\xb1", "of 8-bit digits"),
    length(b" 11\0", "followed by a NUL"),
    length(b" 11\x0b", "followed by a vertical tab"),
    length(b"\x0b11", "behind a vertical tab"),
    length(b"\r\n 11", "in the next line", why="RFC 9112, 5.2: obs-fold"),
    length(b" 11\r\nContent-Length: 11", "given twice", why="RFC 9110, 8.6: MAY; refused here"),
    length(b" 11\r\nContent-Length: 12", "given twice, differently", why="RFC 9112, 6.3: MUST be an error"),
    length(b" 11\r\ncontent-length: 0", "given twice, in other letters", why="RFC 9112, 6.3"),
    length(b" 9223372036854775807", "the largest of 63 bits", why="RFC 9110, 15.5.14", body=b"", gets=TOO_LARGE),
    length(b" 18446744073709551627", "11 more than 64 bits hold", gets=TOO_LARGE),
    length(b" 99999999999999999999", "of twenty digits", body=b"", gets=TOO_LARGE),
    length(b" " + b"9" * 5000, "of five thousand digits", body=b"", gets=TOO_LARGE),
    row("a name that is nearly Content-Length", put(b"Content_Length: 11", body=b"", length=False) + get(),
        why="underscores are no hyphens; CGI confusion", is_attack=True,
        gets=Outcome((OK, OK), KEPT, (b"", b"")), only="call"),
    row("a GET with a length and a body", b"GET <T> HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n<A>\r\n" + BODY
        + SMUGGLED, why="RFC 9110, 9.3.1", gets=[Outcome((OK, OK), KEPT, (BODY,), smuggled=1),
        Outcome((OK,), CLOSED, (BODY,))], only="call"),
    row("no length and no coding", put(length=False, body=SMUGGLED), why="RFC 9112, 6.3: no body",
        gets=[Outcome((OK, OK), KEPT, (b"",), smuggled=1)], only="call"),
]  # fmt: skip

CODINGS = [
    coding(b"Transfer-Encoding: chunked", "as it should be", why="RFC 9112, 7.1", gets=BOTH),
    coding(b"Transfer-Encoding:chunked", "right behind its colon", why="RFC 9112, 5.1", gets=BOTH),
    coding(b"Transfer-Encoding:\tchunked \t", "between tabs", why="RFC 9112, 5.1; llhttp refuses it", gets=[BOTH, REFUSED]),
    coding(b"transfer-encoding: CHUNKED", "in capitals", why="RFC 9112, 7: no case", gets=BOTH),
    coding(b"Transfer-Encoding: ,chunked,", "in a list with empty members", why="RFC 9110, 5.6.1",
           gets=[BOTH, *NO_CODING]),
    coding(b"Transfer-Encoding:", "that is empty", why="RFC 9112, 6.1; W5"),
    coding(b"Transfer-Encoding: ,", "that is an empty list"),
    coding(b"Transfer-Encoding: xchunked", "with a letter before it", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunkedx", "with a letter behind it", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunk", "cut short", gets=NO_CODING),
    coding(b"Transfer-Encoding: chun ked", "in two words", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked;q=1", "with a parameter", gets=NO_CODING),
    coding(b'Transfer-Encoding: "chunked"', "in quotes", gets=NO_CODING),
    coding(b"Transfer-Encoding: 'chunked'", "in single quotes", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked, chunked", "done twice", why="RFC 9112, 6.1: MUST NOT", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked, gzip", "before another", why="RFC 9112, 6.3: MUST be 400"),
    coding(b"Transfer-Encoding: gzip, chunked", "after another", why="RFC 9112, 6.1: 501; W5", gets=NO_CODING),
    coding(b"Transfer-Encoding: gzip", "of another kind", why="RFC 9112, 6.3: MUST be 400", gets=NO_CODING),
    coding(b"Transfer-Encoding: identity", "that is none", why="RFC 9112, 7: no more", gets=NO_CODING),
    coding(b"Transfer-Encoding: identity, chunked", "after none", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked, identity", "before none", gets=NO_CODING),
    coding(b"Transfer-Encoding: \x0bchunked", "behind a vertical tab", gets=NO_CODING),
    coding(b"Transfer-Encoding: \x0cchunked", "behind a form feed", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked\x0b", "before a vertical tab", gets=NO_CODING),
    coding(b"Transfer-Encoding: \xa0chunked", "behind an 8-bit space", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked\0", "before a NUL", gets=NO_CODING),
    coding(b"Transfer-Encoding : chunked", "behind a space before the colon", why="RFC 9112, 5.1; TE.TE"),
    coding(b"Transfer-Encoding\t: chunked", "behind a tab before the colon", why="RFC 9112, 5.1; TE.TE"),
    coding(b" Transfer-Encoding: chunked", "behind a space", why="RFC 9112, 5.2: obs-fold"),
    coding(b"Transfer-Encoding:\r\n chunked", "in the next line", why="RFC 9112, 5.2: obs-fold; W5"),
    coding(b"Transfer-Encoding: chunked\r\n , x", "that goes on in the next line", why="RFC 9112, 5.2",
           gets=NO_CODING),
    coding(b"X: y\nTransfer-Encoding: chunked", "behind a bare LF", why="RFC 9112, 2.2; TE.TE"),
    coding(b"X: y\rTransfer-Encoding: chunked", "behind a bare CR", why="RFC 9112, 2.2; TE.TE"),
    coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "given twice",
           why="RFC 9112, 6.1: once", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "taken back", gets=NO_CODING),
    coding(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "that follows none", gets=NO_CODING),
    coding(b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", "that follows nonsense", gets=NO_CODING),
    coding(b"Transfer-Encoding: chunked\r\nTransfer-encoding: x", "and then nonsense", gets=NO_CODING),
    row("a coding in HTTP/1.0", put(b"Transfer-Encoding: chunked", body=CHUNK + LAST, length=False,
        version=b"HTTP/1.0") + SMUGGLED, why="RFC 9112, 6.1: faulty framing", is_attack=True),
    row("a name that is nearly Transfer-Encoding", put(b"Transfer_Encoding: chunked") + SMUGGLED,
        why="underscores are no hyphens; CGI confusion", gets=BOTH, is_attack=True),
    row("TE, which speaks of the answer", put(b"TE: chunked, trailers") + SMUGGLED, why="RFC 9110, 10.1.4",
        gets=BOTH),
    row("a coding of a GET", b"GET <T> HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n<A>\r\n" + LAST,
        why="RFC 9110, 9.3.1", gets=[Outcome((OK,), KEPT, (b"",)), Outcome((OK,), CLOSED, (b"",))]),
]  # fmt: skip

PAIRS = [
    both(b"Transfer-Encoding: chunked", "", "RFC 9112, 6.1; CL.TE"),
    both(b"transfer-encoding: Chunked", "in other letters", "RFC 9112, 6.1; CL.TE"),
    both(b"Transfer-Encoding: xchunked", "that is none", "RFC 9112, 6.1; CL.TE"),
    both(b"Transfer-Encoding: identity", "of the past", "RFC 9112, 6.1; CL.TE"),
    both(b"Transfer-Encoding:", "that is empty", "RFC 9112, 6.1; CL.TE; W5"),
    both(b"Transfer-Encoding:\r\n chunked", "in the next line", "RFC 9112, 5.2; CL.TE; W5"),
    both(b"Transfer-Encoding : chunked", "behind a space", "RFC 9112, 5.1; CL.TE"),
    both(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "twice", "RFC 9112, 6.1; CL.TE"),
    both(b"X: y\nTransfer-Encoding: chunked", "behind a bare LF", "RFC 9112, 2.2; CL.TE"),
    row("a coding, then a length that ends within its first chunk",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n<A>\r\n"
        + b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + LAST, why="RFC 9112, 6.1; TE.CL", is_attack=True,
        gets=NO_CODING),
    row("a coding and a length of nothing", put(b"Transfer-Encoding: chunked", b"Content-Length: 0",
        body=CHUNK + LAST, length=False) + SMUGGLED, why="RFC 9112, 6.1; 0.CL", is_attack=True, gets=NO_CODING),
]  # fmt: skip

ROWS = [*LENGTHS, *CODINGS, *PAIRS]
