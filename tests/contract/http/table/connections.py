"""RFC 9112, 9: one request after the other, who closes when, upgrades, and sides that are shut."""

from __future__ import annotations

from tests.contract.http.rows import (
    ANSWERED,
    BODY,
    CHUNK,
    CLOSED,
    EITHER,
    GOT,
    KEPT,
    LAST,
    OK,
    READ,
    REFUSED,
    SERVED,
    SHUT,
    SMUGGLED,
    Drip,
    Outcome,
    chunked,
    get,
    put,
    row,
)

DONE = Outcome((OK,), CLOSED, (BODY,))
GOT_LAST = Outcome((OK,), CLOSED, (b"",))
NOTHING = [Outcome((), CLOSED), REFUSED, Outcome((408,), CLOSED)]


def put_of(number: int, *lines: bytes) -> bytes:
    """A whole PUT whose body says which one it is."""
    return put(*lines, body=b'{"value":%d}' % number)


PIPELINING = [
    row("two requests in one write", get() + put(), why="RFC 9112, 9.3.2: in order",
        gets=Outcome((OK, OK), KEPT, (b"", BODY))),
    row("three requests with bodies in one write", put_of(1) + put_of(2) + put_of(3), why="RFC 9112, 9.3.2",
        gets=Outcome((OK,) * 3, KEPT, tuple(b'{"value":%d}' % n for n in (1, 2, 3)))),
    row("fifty requests in one write", b"".join(put_of(n) for n in range(50)), why="RFC 9112, 9.3.2",
        gets=Outcome((OK,) * 50, KEPT, tuple(b'{"value":%d}' % n for n in range(50)))),
    row("a request behind a chunked body", chunked(CHUNK + LAST) + SMUGGLED, why="RFC 9112, 9.3.2",
        gets=Outcome((OK, OK), KEPT, (BODY,), smuggled=1)),
    row("two ways in turns", put_of(1) + SMUGGLED + put_of(2) + SMUGGLED, why="RFC 9112, 9.3.2",
        gets=Outcome((OK,) * 4, KEPT, (b'{"value":1}', b'{"value":2}'), smuggled=2)),
    row("a second head that comes in two pieces", get() + SMUGGLED[:20], ANSWERED, SMUGGLED[20:],
        why="RFC 9112, 9.3.2; W5", gets=Outcome((OK, OK), KEPT, (b"",), smuggled=1)),
    row("a second head behind the first, its body later",
        put(body=BODY) + put(body=b'{"value":8}')[:-11], ANSWERED, b'{"value":8}',
        why="W5: pipelined bytes were dropped, then a body was a request", is_attack=True,
        gets=Outcome((OK, OK), KEPT, (BODY, b'{"value":8}'))),
    row("a second head behind the first, its body a request",
        get() + put(b"Content-Length: %d" % len(SMUGGLED), body=b"", length=False), ANSWERED, SMUGGLED,
        why="W5: pipelined bytes were dropped, then a body was a request", is_attack=True,
        gets=Outcome((OK, OK), KEPT, (b"", SMUGGLED)), only="call"),
    row("a body that is a request", put(body=SMUGGLED), why="RFC 9112, 6.2: data is data", is_attack=True,
        gets=Outcome((OK,), KEPT, (SMUGGLED,)), only="call"),
    row("a request in one-byte writes", Drip(put()), why="RFC 9112, 2.1",
        gets=SERVED),
    row("a request behind one that was the last", get(b"Connection: close") + SMUGGLED,
        why="RFC 9112, 9.6: MUST NOT process", is_attack=True, gets=GOT_LAST),
    row("a request behind the last one's body", put(b"Connection: close") + SMUGGLED,
        why="RFC 9112, 9.6: MUST NOT process", is_attack=True, gets=DONE),
    row("a request behind one without a credential", b"GET <T> HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
        why="RFC 9112, 9.3.2", gets=[Outcome((401, OK), KEPT, smuggled=1), Outcome((401,), CLOSED)]),
    row("a request behind one of what is not there", get(target=b"<M>") + SMUGGLED, why="RFC 9112, 9.3.2",
        gets=[Outcome((404, OK), KEPT, smuggled=1), Outcome((404,), CLOSED)]),
    row("a request behind one that is no HTTP", b"GET\0\r\n\r\n" + SMUGGLED, why="RFC 9112, 2.2: close",
        is_attack=True),
    row("no HTTP behind a request", get() + b"GET\0\r\n\r\n" + SMUGGLED, why="RFC 9112, 9.3.2",
        gets=Outcome((OK, 400), CLOSED, (b"",)), is_attack=True),
    row("a refused head behind a request", put() + get(host=b"") + SMUGGLED, why="RFC 9112, 9.3.2",
        gets=Outcome((OK, 400), CLOSED, (BODY,)), is_attack=True),
    row("HEAD and a request behind it", b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2, why="RFC 9110, 9.3.2",
        gets=Outcome((OK, OK), KEPT), is_head=True),
]  # fmt: skip

EARLY = [
    row("half a body without a credential, the rest a request",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n<K>\r\n{" % (len(SMUGGLED) + 1), ANSWERED, SMUGGLED,
        why="an early answer; the rest is a body", is_attack=True, gets=Outcome((401,), EITHER)),
    row("a body without a credential that is a request",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n<K>\r\n" % len(SMUGGLED) + SMUGGLED,
        why="an early answer; the rest is a body", is_attack=True, gets=Outcome((401,), EITHER)),
    row("chunks without a credential that are requests",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n<K>\r\n1\r\n \r\n", ANSWERED,
        b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + LAST, why="an early answer; the rest is a body",
        is_attack=True, gets=Outcome((401,), EITHER)),
    row("a body for what is not there, the rest a request",
        b"PATCH <M> HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n<A>\r\n" % len(SMUGGLED), ANSWERED, SMUGGLED,
        why="an early answer; the rest is a body", is_attack=True,
        gets=[Outcome((status,), EITHER) for status in (404, 405)]),
    row("a body under a method that is not allowed",
        b"OPTIONS <T> HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n<A>\r\n" % len(SMUGGLED) + SMUGGLED,
        why="an early answer; the rest is a body", is_attack=True, gets=Outcome((405,), EITHER)),
    row("a length above the function's limit, and a request",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n<A>\r\n" + SMUGGLED * 3, why="RFC 9110, 15.5.14",
        is_attack=True, gets=Outcome((413,), EITHER), only="call"),
    row("a refused body that is malformed",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n<K>\r\nzz\r\n" + SMUGGLED,
        why="an early answer; the rest is no body", is_attack=True, gets=[Outcome((401,), CLOSED), REFUSED]),
    row("a request behind a refused body that came whole",
        b"PUT <T> HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n<K>\r\n" + BODY + SMUGGLED, why="RFC 9112, 9.3.2",
        gets=[Outcome((401, OK), KEPT, smuggled=1), Outcome((401,), CLOSED)]),
]  # fmt: skip


def expecting(what: bytes, version: bytes = b"HTTP/1.1", secret: bytes = b"<A>") -> bytes:
    """A head that expects this before its body of eleven bytes."""
    return (
        b"PUT <T> "
        + version
        + b"\r\nHost: x\r\nExpect: "
        + what
        + b"\r\nContent-Length: 11\r\n"
        + secret
        + b"\r\n"
    )


ASKED = Outcome((100, OK), KEPT, (BODY,))
EXPECT = [
    row("a body that waits to be asked for", expecting(b"100-continue"), ANSWERED, BODY, why="RFC 9110, 10.1.1",
        gets=ASKED),
    row("a body that waits to be asked for, in capitals", expecting(b"100-Continue"), ANSWERED, BODY,
        why="RFC 9110, 10.1.1: no case", gets=ASKED),
    row("chunks that wait to be asked for",
        chunked(b"", b"Expect: 100-continue"), ANSWERED, CHUNK + LAST, why="RFC 9110, 10.1.1", gets=ASKED),
    row("a body that does not wait to be asked for", expecting(b"100-continue") + BODY, why="RFC 9110, 10.1.1",
        gets=[SERVED, ASKED]),
    row("a body that is not wanted", expecting(b"100-continue", secret=b"<K>"), why="RFC 9110, 10.1.1",
        gets=Outcome((401,), EITHER)),
    row("a body that is not wanted and a request in its place", expecting(b"100-continue", secret=b"<K>"), ANSWERED,
        SMUGGLED, why="RFC 9110, 10.1.1; Expect desync", is_attack=True,
        gets=[Outcome((401,), CLOSED), Outcome((401, 400), CLOSED)]),
    row("another expectation", expecting(b"payment") + BODY, why="RFC 9110, 10.1.1: 417",
        gets=Outcome((417,), EITHER)),
    row("another expectation and a request in the body's place", expecting(b"payment"), ANSWERED, SMUGGLED,
        why="RFC 9110, 10.1.1; Expect desync", is_attack=True,
        gets=[Outcome((417,), CLOSED), Outcome((417, 400), CLOSED)]),
    row("two expectations", expecting(b"100-continue, payment") + BODY, why="RFC 9110, 10.1.1: 417",
        gets=[Outcome((417,), EITHER), Outcome((400,), CLOSED)]),
    row("an expectation with a letter before it", expecting(b"y 100-continue") + BODY,
        why="RFC 9110, 10.1.1; Expect desync", gets=[Outcome((417,), EITHER), REFUSED], is_attack=True),
    row("an expectation in HTTP/1.0", expecting(b"100-continue", b"HTTP/1.0"), READ, BODY,
        why="RFC 9110, 10.1.1: MUST be ignored", gets=DONE),
    row("an expectation of no body", get(b"Expect: 100-continue"), why="RFC 9110, 10.1.1: MAY be ignored",
        gets=GOT),
]  # fmt: skip

PERSISTENCE = [
    row("HTTP/1.0", get(version=b"HTTP/1.0"), why="RFC 9112, 9.3", gets=GOT_LAST),
    row("HTTP/1.0 that asks to be kept", get(b"Connection: keep-alive", version=b"HTTP/1.0"),
        why="RFC 9112, 9.3 and C.2.2; O5", gets=[GOT, GOT_LAST]),
    row("HTTP/1.0 that asks to be kept, twice", get(b"Connection: Keep-Alive", version=b"HTTP/1.0") * 2,
        why="RFC 9112, 9.3; O5", gets=[Outcome((OK, OK), KEPT, (b"", b"")), GOT_LAST]),
    row("HTTP/1.0 with a body that asks to be kept", put(b"Connection: keep-alive", version=b"HTTP/1.0"),
        why="RFC 9112, 9.3; O5", gets=[SERVED, DONE]),
    row("HTTP/1.0 with a body", put(version=b"HTTP/1.0"), why="RFC 9112, 9.3", gets=DONE),
    row("HTTP/1.0 with bytes behind it", get(version=b"HTTP/1.0") + SMUGGLED, why="RFC 9112, 9.3",
        gets=GOT_LAST, is_attack=True),
    row("HTTP/1.0 with a body and bytes behind it", put(version=b"HTTP/1.0") + SMUGGLED, why="RFC 9112, 9.3",
        gets=DONE, is_attack=True),
    row("a request that closes", get(b"Connection: close"), why="RFC 9112, 9.6", gets=GOT_LAST),
    row("a request that closes in capitals", get(b"CONNECTION: CLOSE"), why="RFC 9110, 7.6.1: no case",
        gets=GOT_LAST),
    row("a list that closes", get(b"Connection: foo, close"), why="RFC 9110, 7.6.1", gets=GOT_LAST),
    row("a list that keeps and closes", get(b"Connection: keep-alive, close"), why="RFC 9112, 9.3", gets=GOT_LAST),
    row("two lines of which one closes", get(b"Connection: keep-alive", b"Connection: close"),
        why="RFC 9110, 7.6.1", gets=GOT_LAST),
    row("HTTP/1.0 and a list that keeps and closes", get(b"Connection: keep-alive, close", version=b"HTTP/1.0"),
        why="RFC 9112, 9.3: close comes first", gets=GOT_LAST),
    row("HTTP/1.0 and two lines of which one closes",
        get(b"Connection: keep-alive", b"Connection: x, Close", version=b"HTTP/1.0"),
        why="RFC 9112, 9.3: close comes first", gets=GOT_LAST),
    row("HTTP/1.0 that asks to be kept in a list", get(b"Connection: x, Keep-Alive", version=b"HTTP/1.0"),
        why="RFC 9112, 9.3; O5", gets=[GOT, GOT_LAST]),
    row("HTTP/1.0 that asks a proxy to be kept", get(b"Proxy-Connection: keep-alive", version=b"HTTP/1.0"),
        why="RFC 9112, C.2.2", gets=GOT_LAST),
    row("HTTP/1.0 that asks to be kept and a proxy to close",
        get(b"Connection: keep-alive", b"Proxy-Connection: close", version=b"HTTP/1.0"),
        why="RFC 9112, C.2.2", gets=[GOT, GOT_LAST]),
    row("a word that is nearly close", get(b"Connection: closed"), why="RFC 9110, 7.6.1", gets=GOT),
    row("a request that is kept by name", get(b"Connection: keep-alive"), why="RFC 9112, 9.3", gets=GOT),
    row("Connection names the length", put(b"Connection: content-length"), why="RFC 9110, 7.6.1; hop by hop",
        gets=[SERVED, REFUSED], is_attack=True),
    row("Connection names the coding", chunked(CHUNK + LAST, b"Connection: transfer-encoding"),
        why="RFC 9110, 7.6.1; hop by hop", gets=[SERVED, REFUSED], is_attack=True),
    row("Connection names the Host", get(b"Connection: host"), why="RFC 9110, 7.6.1; hop by hop",
        gets=[GOT, REFUSED], is_attack=True),
    row("Connection names the credential", get(b"Connection: authorization"), why="RFC 9110, 7.6.1; hop by hop",
        gets=[GOT, REFUSED, Outcome((401,), EITHER)], hides=["authorization"], is_attack=True),
    row("Connection names a header", get(b"X-Secret: y", b"Connection: x-secret"), why="RFC 9110, 7.6.1",
        gets=GOT, hides=["x-secret", "connection"]),
    row("a connection that is used ten times", *(step for _ in range(10) for step in (put(), ANSWERED)),
        why="RFC 9112, 9.3", gets=Outcome((OK,) * 10, KEPT, (BODY,) * 10)),
]  # fmt: skip

WEBSOCKET = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
H2C = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
UPGRADES = [
    row("an offer of WebSocket", get(*WEBSOCKET), why="RFC 9110, 7.8: an offer may be ignored",
        gets=[GOT, GOT_LAST]),
    row("an offer of WebSocket, and a request behind it", get(*WEBSOCKET) + SMUGGLED, why="RFC 9110, 7.8",
        gets=[Outcome((OK, OK), KEPT, (b"",), smuggled=1), GOT_LAST]),
    row("an offer of h2c", get(*H2C), why="RFC 9113, 3.1; h2c smuggling", gets=[GOT, GOT_LAST], is_attack=True),
    row("an offer of h2c with a body", put(*H2C), why="RFC 9110, 7.8; h2c smuggling", gets=[SERVED, DONE],
        is_attack=True),
    row("an offer of h2c, and HTTP/2 behind it", get(*H2C) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        why="RFC 9113, 3.4; h2c smuggling", is_attack=True,
        gets=[GOT_LAST, *(Outcome((OK, status), CLOSED, (b"",)) for status in (400, 505))]),
    row("an offer of h2c with a chunked body, and a request behind it",
        chunked(CHUNK + LAST, *H2C) + SMUGGLED, why="RFC 9110, 7.8; h2c smuggling", is_attack=True,
        gets=[Outcome((OK, OK), KEPT, (BODY,), smuggled=1), DONE, REFUSED]),
    row("an offer of TLS", get(b"Connection: upgrade", b"Upgrade: TLS/1.0"), why="RFC 2817, 3.1",
        gets=[GOT, GOT_LAST]),
    row("an offer that Connection does not name", get(b"Upgrade: websocket"), why="RFC 9110, 7.8", gets=GOT),
    row("HEAD", b"HEAD <T> HTTP/1.1\r\nHost: x\r\n<A>\r\n", why="RFC 9110, 9.3.2: no body",
        gets=[Outcome((status,), KEPT) for status in (OK, 405)], is_head=True),
    row("HEAD of what is not there", b"HEAD <M> HTTP/1.1\r\nHost: x\r\n<A>\r\n", why="RFC 9110, 9.3.2: no body",
        gets=[Outcome((status,), KEPT) for status in (404, 405)], is_head=True),
    row("HEAD with a body that is a request",
        b"HEAD <T> HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n<A>\r\n" % len(SMUGGLED) + SMUGGLED,
        why="RFC 9110, 9.3.2", gets=[Outcome((status,), EITHER) for status in (OK, 405)], is_head=True,
        is_attack=True),
]  # fmt: skip

SHUT_SIDES = [
    row("a side that is shut behind a request", get(), SHUT, why="RFC 9112, 9.6: a half-closed socket",
        gets=GOT_LAST),
    row("a side that is shut behind a body", put(), SHUT, why="RFC 9112, 9.6", gets=DONE),
    row("a side that is shut behind two requests", get() + put(), SHUT, why="RFC 9112, 9.6",
        gets=Outcome((OK, OK), CLOSED, (b"", BODY))),
    row("a side that is shut without a word", SHUT, why="RFC 9112, 9.6", gets=Outcome((), CLOSED)),
    row("a side that is shut after an answer", get(), ANSWERED, SHUT, why="RFC 9112, 9.6", gets=GOT_LAST),
    row("a side that is shut within a head", get()[:30], READ, SHUT, why="RFC 9112, 8: incomplete", gets=NOTHING),
    row("a side that is shut within a body", put()[:-3], READ, SHUT, why="RFC 9112, 8: incomplete",
        gets=NOTHING, is_attack=True),
    row("a side that is shut within a chunk", chunked(CHUNK[:9]), READ, SHUT, why="RFC 9112, 8: incomplete",
        gets=NOTHING, is_attack=True),
    row("a side that is shut before the last chunk", chunked(CHUNK), READ, SHUT,
        why="RFC 9112, 8: MUST be incomplete", gets=NOTHING, is_attack=True),
    row("a side that is shut within the trailers", chunked(CHUNK + b"0\r\nX: "), READ, SHUT,
        why="RFC 9112, 8: incomplete", gets=NOTHING, is_attack=True),
    row("a side that is shut within the second request", get() + put()[:-3], READ, SHUT, why="RFC 9112, 8",
        gets=[Outcome((OK, *one.statuses), CLOSED, (b"",)) for one in NOTHING]),
]  # fmt: skip

CLIENT_HELLO = bytes.fromhex("16030100310100002d0303") + bytes(32) + bytes.fromhex("000006130113021303010000")
NOISE = bytes(range(128, 256)) + bytes(range(256))
OTHERS = [
    row("the first words of TLS", CLIENT_HELLO, why="another protocol"),
    row("every byte there is", NOISE, why="no HTTP"),
    row("a thousand NULs", bytes(1000), why="no HTTP"),
    row("an empty line and nothing else", b"\r\n", READ, SHUT, why="RFC 9112, 2.2", gets=NOTHING),
    row("the PROXY protocol, version 1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(),
        why="a header of proxies that nobody configured; forged addresses", is_attack=True),
    row("the PROXY protocol, version 2", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c" + bytes(12) + get(),
        why="a header of proxies that nobody configured; forged addresses", is_attack=True),
    row("the first words of SSH", b"SSH-2.0-OpenSSH_9.9\r\n", why="another protocol"),
    row("the first words of SMTP", b"EHLO x\r\nMAIL FROM:<a@x>\r\n\r\n", why="another protocol"),
    row("a byte order mark before the request", b"\xef\xbb\xbf" + get(), why="RFC 9112, 3"),
    row("a request in UTF-16", "GET / HTTP/1.1\r\nHost: x\r\n\r\n".encode("utf-16"), why="RFC 9112, 2.2: ASCII"),
    row("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", why="RFC 9112, 3", is_attack=True),
    row("JSON", b'{"method": "GET"}\r\n\r\n', why="no HTTP"),
]  # fmt: skip

ROWS = [*PIPELINING, *EARLY, *EXPECT, *PERSISTENCE, *UPGRADES, *SHUT_SIDES, *OTHERS]
