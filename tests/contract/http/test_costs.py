"""What requests cost a front's processor: linear in their bytes, and never long at a time.

Judged by the kernel's count of the front's processor time, not by a clock: a machine that is busy with
something else makes no test fail.
"""

from __future__ import annotations

import contextlib
import math
import select
import threading
from collections.abc import Callable, Iterator

import pytest

from supervisor.front.http.edge import READ_BYTES
from tests.contract.http.dialogue import DEADLINE_SECONDS, INVOCATION, Line
from tests.contract.http.rows import get
from tests.support.eventually import eventually
from tests.support.front_costs import cpu_seconds, loop_seconds
from tests.support.server import Server

pytestmark = pytest.mark.slow

MIB = 1 << 20
# The bound for a MiB on the wire, whatever is in it.
SECONDS_PER_MIB = 0.2
# A turn of the loop; a request of the bystander's may wait for the rest of one turn, and be read in the next.
TURN_SECONDS = 0.05
TURNS = 3
# Twice the bytes cost twice as much; what makes a test fail is four times.
RATIO_MOST = 3.0
# Below it a measurement is of the kernel's ticks and of what else a front does.
FLOOR_SECONDS = 0.05
ROUNDS_MOST = 12
ROUNDS = 3

HEAD = INVOCATION.spell(b"POST <T> HTTP/1.1\r\nHost: x\r\n<A>Transfer-Encoding: chunked\r\n\r\n")
API_HEAD = HEAD.replace(b"/functions/edge/invoke/x", b"/variables/edge").replace(b"POST", b"PUT", 1)


def _chunks(size: int, head: bytes = HEAD, text: bytes = b"x") -> Callable[[int], bytes]:
    one = b"%x\r\n%s\r\n" % (size, text * (size // len(text)))
    return lambda number: head + one * (number // len(one)) + b"0\r\n\r\n"


def _lines(line: bytes) -> Callable[[int], bytes]:
    return lambda number: b"GET / HTTP/1.1\r\nHost: x\r\n" + line * (number // len(line)) + b"\r\n"


def _pipelined(number: int) -> bytes:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    return one * (number // len(one))


# Each gives about so many bytes for one connection; what the server does not want of them it may refuse.
SHAPES: dict[str, Callable[[int], bytes]] = {
    "chunks of one byte": _chunks(1),
    "chunks of six bytes": _chunks(6),
    "chunks of six bytes to the API": _chunks(6, API_HEAD),
    "chunks of sixteen bytes": _chunks(16),
    "chunks of a thousand bytes": _chunks(1000),
    "a chunk of empty lines": lambda number: _chunks(number // 2 * 2, HEAD, b"\r\n")(number + 20),
    "chunks of an empty line": _chunks(4, HEAD, b"\r\n\r\n"),
    "extensions": lambda number: HEAD + b"8;a\r\n01234567\r\n" * (number // 15) + b"0\r\n\r\n",
    "an endless extension": lambda number: HEAD + b"1;" + b"x" * number + b"\r\nx\r\n0\r\n\r\n",
    "an endless size": lambda number: HEAD + b"0" * number + b"1\r\nx\r\n0\r\n\r\n",
    "endless trailers": lambda number: HEAD + b"0\r\n" + b"X-A: y\r\n" * (number // 8) + b"\r\n",
    "trailers of a letter": lambda number: HEAD + b"0\r\n" + b"a:\r\n" * (number // 4) + b"\r\n",
    "one trailer": lambda number: HEAD + b"0\r\nX: " + b"x" * number + b"\r\n\r\n",
    "headers": _lines(b"X-Header: a value\r\n"),
    "headers of a letter": _lines(b"a:\r\n"),
    "one header": lambda number: b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * number + b"\r\n\r\n",
    "a target": lambda number: b"GET /" + b"x" * number + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "empty lines": lambda number: b"\r\n" * (number // 2) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}  # fmt: skip


def pump(line: Line, data: bytes, piece: int, is_over: Callable[[], bool]) -> None:
    """Send it in pieces while whatever is answered is read and dropped, until the other side has enough."""
    at = 0
    line.socket.setblocking(False)
    while at < len(data) and not is_over():
        readable, writable, _ = select.select([line.socket], [line.socket], [], 1.0)
        try:
            if readable and not line.socket.recv(65536):
                return
            if writable:
                at += line.socket.send(data[at : at + piece])
        except (BrokenPipeError, ConnectionResetError):
            return
        except BlockingIOError:
            continue


def spoken(server: Server, data: bytes, piece: int) -> None:
    """Send it, and read to the end of the connection."""
    with Line(server) as line:
        pump(line, data, piece, lambda: False)
        line.shut()
        line.socket.settimeout(DEADLINE_SECONDS)
        with contextlib.suppress(ConnectionResetError):
            while line.socket.recv(65536):
                pass


def cost(server: Server, front: int, data: bytes, piece: int = 65536) -> float:
    """Processor seconds of the front for these bytes."""
    before = cpu_seconds(front)
    spoken(server, data, piece)
    assert server.client.get("/healthz").status_code == 200  # it has done with them
    return cpu_seconds(front) - before


def costs(server: Server, front: int, once: bytes, twice: bytes, piece: int = 65536) -> tuple[float, float]:
    """The least that each took in some rounds, in turns: a neighbour slows one of them, and none for ever.

    More rounds follow while twice as much seems to cost too much: what truly does goes on to.
    """
    least = [math.inf, math.inf]
    for number in range(ROUNDS_MOST):
        if number >= ROUNDS and least[1] <= RATIO_MOST * max(least[0], FLOOR_SECONDS):
            break
        for at, data in enumerate((once, twice)):
            least[at] = min(least[at], cost(server, front, data, piece))
    return least[0], least[1]


@pytest.mark.promise("T78")
@pytest.mark.parametrize("name", SHAPES)
def test_a_mebibyte_costs_little_whatever_it_is_made_of_and_two_cost_twice_as_much(
    edge: Server, front: int, name: str
) -> None:
    once, twice = costs(edge, front, *(SHAPES[name](size) for size in (MIB // 2, MIB)))
    assert twice <= SECONDS_PER_MIB + FLOOR_SECONDS
    assert twice <= RATIO_MOST * max(once, FLOOR_SECONDS)


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_front_reads_at_once_costs_less_than_a_turn_may_last(
    edge: Server, front: int, name: str
) -> None:
    """A front reads 64 KiB of a connection in a turn, at the most."""
    data = SHAPES[name](2 * READ_BYTES)[:READ_BYTES]
    found = []
    for _ in range(ROUNDS):
        with Line(edge) as line:
            assert edge.client.get("/healthz").status_code == 200
            before = loop_seconds(front)
            line.send(data)
            eventually(line.is_read, "the front does not read", DEADLINE_SECONDS)
            assert edge.client.get("/healthz").status_code == 200
            found.append(loop_seconds(front) - before)
    assert min(found) <= TURN_SECONDS


# What is read in a letter at a time: a system call each, whose number is the client's to choose.
SLOW_SHAPES: dict[str, Callable[[int], bytes]] = {
    "a value": lambda number: b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * number,
    "a name": lambda number: b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x" * number,
    "a target": lambda number: b"GET /" + b"x" * number,
    "an extension": lambda number: HEAD + b"1;" + b"x" * number,
    "a size": lambda number: HEAD + b"0" * number,
    "a trailer": lambda number: HEAD + b"0\r\nX: " + b"x" * number,
}
LETTERS = 20_000


@pytest.mark.promise("T79")
@pytest.mark.parametrize("name", SLOW_SHAPES)
def test_what_comes_letter_by_letter_is_read_once(edge: Server, front: int, name: str) -> None:
    once, twice = costs(edge, front, *(SLOW_SHAPES[name](size) for size in (LETTERS, 2 * LETTERS)), 1)
    assert twice <= RATIO_MOST * max(once, FLOOR_SECONDS)


@contextlib.contextmanager
def flooded(server: Server, data: bytes) -> Iterator[threading.Event]:
    """The same bytes on one connection after the other, until the block ends; set when one has come."""
    over, began = threading.Event(), threading.Event()

    def flood() -> None:
        while not over.is_set():
            with Line(server) as line:
                began.set()
                pump(line, data, 65536, over.is_set)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        yield began
    finally:
        over.set()
        flooding.join()


TURN_SHAPES = {
    **{name: make(8 * MIB) for name, make in SHAPES.items()},
    "requests in one write": _pipelined(8 * MIB),
}
ASKED = 40


@pytest.mark.promise("T80")
@pytest.mark.parametrize("name", TURN_SHAPES)
def test_no_turn_of_a_fronts_loop_is_long_while_it_reads(edge: Server, front: int, name: str) -> None:
    """Between two answers to somebody else a front has run for less than a few turns."""
    worst = 0.0
    with flooded(edge, TURN_SHAPES[name]) as began, Line(edge) as line:
        assert began.wait(20)
        for _ in range(ASKED):
            before = loop_seconds(front)
            line.send(INVOCATION.spell(get(target=b"/healthz")))
            assert line.answer().status == 200
            worst = max(worst, loop_seconds(front) - before)
    assert worst <= TURNS * TURN_SECONDS
