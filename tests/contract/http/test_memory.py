"""What connections cost a front's memory: before a head is complete, after it, and when they are gone."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import Callable

import pytest

from supervisor.front.http.request_head import HEAD_MAX_BYTES, HEADERS_MOST
from tests.contract.http.conftest import MOST_MIB
from tests.contract.http.dialogue import DEADLINE_SECONDS, INVOCATION, Ended, Line
from tests.contract.http.rows import get
from tests.support.eventually import eventually
from tests.support.front_costs import memory_kib
from tests.support.server import Server

pytestmark = pytest.mark.slow

KIB = 1 << 10
MIB = 1 << 20
# What a connection may cost a front before its head is complete, and besides its body after it.
MOST_KIB = 64
# Of both sides' sockets: so much of what was sent nobody has read yet when the answer comes.
KERNEL_BYTES = 16 * MIB
ENDLESS_BYTES = 256 * MIB
# Connections at once in the tests of one's share: enough that what else a front does is small beside it.
MANY = 60
# One after the other; the number is set by the variable, as is done once for each release.
ONE_BY_ONE = int(os.environ.get("CELLBLOCK_TEST_CONNECTIONS", "10000"))
WARM_UP = 2000
SETTLED_KIB = 2 * KIB
LINGER_NOT = struct.pack("ii", 1, 0)


def endless(line: Line, piece: bytes) -> tuple[int, int]:
    """Send a piece again and again until there is an answer or the end: how many bytes went, its status."""
    line.socket.setblocking(False)
    sent, left = 0, piece
    while sent < ENDLESS_BYTES:
        readable, writable, _ = select.select([line.socket], [line.socket], [], DEADLINE_SECONDS)
        assert readable or writable, "the server neither reads nor answers"
        if readable:
            break
        try:
            taken = line.socket.send(left)
        except (BrokenPipeError, ConnectionResetError):
            break
        sent += taken
        left = left[taken:] or piece
    line.socket.settimeout(DEADLINE_SECONDS)
    return sent, line.answer().status


START = INVOCATION.spell(b"POST <T> HTTP/1.1\r\nHost: x\r\n<A>")
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_BODY = {400, 413, 431}
# How it begins, what is sent again and again, and the statuses one of which it gets.
ENDLESS: dict[str, tuple[bytes, bytes, set[int]]] = {
    "one header": (b"GET / HTTP/1.1\r\nX: ", b"x" * 65536, {431}),
    "one header's name": (b"GET / HTTP/1.1\r\n", b"x" * 65536, {431}),
    "headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: y\r\n" * 8192, {431}),
    "headers of a letter": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:\r\n" * 16384, {431}),
    "a target": (b"GET /", b"x" * 65536, {414, 431}),
    "a method": (b"", b"G" * 65536, {400, 431, 501}),
    "empty lines": (b"", b"\r\n" * 32768, {400, 431}),
    "a chunk's size": (CHUNKED, b"0" * 65536, BAD_BODY),
    "a chunk's extension": (CHUNKED + b"1;", b"x" * 65536, BAD_BODY),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n" * 10923, BAD_BODY),
    "trailers": (CHUNKED + b"0\r\n", b"X-A: y\r\n" * 8192, BAD_BODY),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"x" * 65536, BAD_BODY),
    "a body in chunks": (CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n", {413}),
}


@pytest.mark.promise("T74")
@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_answered_early_and_costs_a_front_nothing(
    edge: Server, front: int, name: str
) -> None:
    start, piece, statuses = ENDLESS[name]
    before = memory_kib(front)
    with Line(edge) as line:
        line.send(start)
        sent, status = endless(line, piece)
        assert status in statuses
        assert sent < KERNEL_BYTES
        # The body's limit is its function's; all else is counted in the same 64 KiB.
        most = MOST_KIB + (MOST_MIB * KIB if name == "a body in chunks" else 0)
        assert memory_kib(front) - before < most + SETTLED_KIB


def grown(edge: Server, front: int, data: bytes) -> float:
    """KiB that each of many connections has cost, once the front has read what they sent and waits."""
    before = memory_kib(front)
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(edge)) for _ in range(MANY)]
        for line in lines:
            line.send(data)
        for line in lines:
            eventually(line.is_read, "the front does not read", DEADLINE_SECONDS)
        eventually(lambda: edge.client.get("/healthz").status_code == 200, "the front does not answer")
        return (memory_kib(front) - before) / MANY


# Nearly as large as a head may be, and not whole; some are refused for their number, or for their first line.
LARGE = HEAD_MAX_BYTES - 100
HEADS = {
    "one header": b"GET / HTTP/1.1\r\nX: " + b"x" * LARGE,
    "headers": b"GET / HTTP/1.1\r\n" + b"X-A: %s\r\n" % (b"y" * 120) * (LARGE // 127),
    "headers of a letter": b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (LARGE // 4),
    "as many headers as there may be": b"GET / HTTP/1.1\r\n"
    + b"a:\r\n" * (HEADERS_MOST - 1)
    + b"X: "
    + b"x" * (LARGE - 4 * HEADERS_MOST),
    "a target": b"GET /" + b"x" * LARGE,
    "a target that may be": b"GET /" + b"x" * 8_000 + b" HTTP/1.1\r\nX: " + b"x" * (LARGE - 8_100),
}


@pytest.mark.promise("T75")
@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_not_complete_costs_no_more_than_64_kib(edge: Server, front: int, name: str) -> None:
    grown(edge, front, HEADS[name])  # what the first ones leave is the allocator's, and is used again
    bare = grown(edge, front, b"GET / HTTP/1.1\r\n")
    assert grown(edge, front, HEADS[name]) - bare <= MOST_KIB


BODIES = {
    "as it is": START + b"Content-Length: 1048576\r\n\r\n" + b"x" * (MIB - 1),
    "in chunks of 64 KiB": CHUNKED + (b"fff0\r\n" + b"x" * 0xFFF0 + b"\r\n") * 16,
    "in chunks of 16 bytes": CHUNKED + b"10\r\n0123456789abcdef\r\n" * 65_000,
    "in chunks of 6 bytes": CHUNKED + b"6\r\n012345\r\n" * 170_000,
    "in chunks of one byte": CHUNKED + b"1\r\nx\r\n" * 160_000,
}


@pytest.mark.promise("T76")
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_not_complete_costs_no_more_than_the_largest_and_64_kib(
    edge: Server, front: int, name: str
) -> None:
    with contextlib.ExitStack() as stack:
        few = 8
        before = memory_kib(front)
        lines = [stack.enter_context(Line(edge)) for _ in range(few)]
        for line in lines:
            line.send(BODIES[name])
        for line in lines:
            eventually(line.is_read, "the front does not read", DEADLINE_SECONDS)
        assert (memory_kib(front) - before) / few <= MOST_MIB * KIB + MOST_KIB + SETTLED_KIB / few


def _whole(line: Line) -> None:
    line.send(INVOCATION.spell(get()))
    assert line.answer().status == 200


def _of_the_api(line: Line) -> None:
    line.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert line.answer().status == 200
    with contextlib.suppress(Ended):
        line.answer()


def _refused(line: Line) -> None:
    line.send(b"GET / HTTP/9.9\r\n\r\n")
    assert line.answer().status in (400, 505)


def _half(line: Line) -> None:
    line.send(b"GET / HTTP/1.1\r\nHost:")


def _aborted(line: Line) -> None:
    line.send(START + b"Content-Length: 100\r\n\r\nhalf")
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)


def _nothing(line: Line) -> None:
    pass


KINDS: list[Callable[[Line], None]] = [_whole, _of_the_api, _refused, _half, _aborted, _nothing]


def one_by_one(server: Server, number: int) -> None:
    """So many connections, one after the other, in turns of every kind there is."""
    for count in range(number):
        with Line(server) as line:
            KINDS[count % len(KINDS)](line)


@pytest.mark.promise("T77")
@pytest.mark.timeout(1200)
def test_connections_that_are_gone_leave_a_fronts_memory_where_it_was(edge: Server, front: int) -> None:
    one_by_one(edge, WARM_UP)
    eventually(lambda: edge.client.get("/healthz").status_code == 200, "the front does not answer")
    before = memory_kib(front)
    one_by_one(edge, ONE_BY_ONE)
    assert abs(memory_kib(front) - before) <= SETTLED_KIB
