"""Bounds on connections together: their number in all and of one address, what they hold, and slow heads."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import MakeServer
from tests.contract.http.dialogue import DEADLINE_SECONDS, INVOCATION, SOURCE, Ended, Line
from tests.contract.http.rows import FUNCTION, get, put
from tests.fault.conftest import client_of
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.front_costs import memory_kib
from tests.support.processes import fronts_of
from tests.support.raw_http import RawAnswer
from tests.support.server import Server
from tests.support.settings import default_of

pytestmark = pytest.mark.slow

MIB = 1 << 20
MOST, OF_ONE = 30, 20
HELD_MIB = 8
# Other loopback addresses, as a host with several callers sees them.
OTHERS = ("127.0.0.2", "127.0.0.3")
PROXY = "127.0.0.4"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
# Of eight callers' bodies so many fit; and what a front needs besides, of which the allocator keeps some.
BESIDES_MIB = 6


@pytest.fixture(scope="module")
def make(module_server: MakeServer) -> Iterator[MakeServer]:
    """``make(**settings)``: a server with one front."""
    made = []

    def one(**settings: Any) -> Server:
        running = module_server(workers=1, blank_cells=1, **settings)
        made.append(running)
        running.deploy(FUNCTION, SOURCE, max_instances=1)
        return running

    yield one
    for running in made:
        assert running.stop() == 0, running.log
        assert "Traceback" not in running.log


@pytest.fixture(scope="module")
def crowded(make: MakeServer) -> Server:
    """Few connections are too many for it."""
    return make(
        connections_most=MOST,
        connections_per_address=OF_ONE,
        requests_max_bytes=HELD_MIB * MIB,
        body_seconds=30,
        trusted_proxies=f'["{PROXY}"]',
    )


def asked(line: Line) -> RawAnswer:
    """What a connection gets for a request."""
    line.send(HEALTH)
    return line.answer()


def served(server: Server, source: str) -> Line:
    """A connection that has been answered; those of before may still be about to go."""
    found: list[Line] = []

    def has_place() -> bool:
        line = Line(server, source=source)
        if asked(line).status == 200:
            found.append(line)
        else:
            line.socket.close()
        return bool(found)

    eventually(has_place, "there is no place")
    return found[0]


def is_served(server: Server) -> bool:
    """Whether a new connection of our own address is."""
    with Line(server) as line:
        return asked(line).status == 200


@pytest.mark.promise("T81")
def test_connections_of_one_address_are_bounded_and_leave_room_for_others(crowded: Server) -> None:
    eventually(lambda: is_served(crowded), "the last test's connections are still there")
    with contextlib.ExitStack() as stack:
        ours = [stack.enter_context(served(crowded, OTHERS[0])) for _ in range(OF_ONE)]
        with Line(crowded, source=OTHERS[0]) as more:
            answer = asked(more)
            assert_envelope(answer, 503, str(OF_ONE))
            assert answer.one("retry-after").isdigit()
            with pytest.raises(Ended):
                more.answer()
        # Another address has room, until all together are too many; our own has gone by then.
        crowded.client.close()
        theirs = [stack.enter_context(served(crowded, OTHERS[1])) for _ in range(MOST - OF_ONE)]
        with Line(crowded, source=OTHERS[1]) as more:
            assert_envelope(asked(more), 503, str(MOST))
        # Those that are there are served as before.
        assert all(asked(line).status == 200 for line in (*ours, *theirs))
    eventually(lambda: is_served(crowded), "there is no room again though they have gone")
    crowded.client = client_of(crowded)


def test_bodies_of_many_callers_are_bounded_together(crowded: Server) -> None:
    """Each is within its function's limit; together they are more than the front may hold."""
    (front,) = fronts_of(crowded.pid)
    eventually(lambda: is_served(crowded), "the last test's connections are still there")
    before = memory_kib(front)
    head = put(b"Content-Length: %d" % (2 * MIB), body=b"", length=False)
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(crowded, source=OTHERS[0])) for _ in range(10)]
        for line in lines:
            line.send(INVOCATION.spell(head) + bytes(2 * MIB - 1))
        for line in lines:
            eventually(line.is_read, "the front does not read", DEADLINE_SECONDS)
        assert (memory_kib(front) - before) / 1024 <= HELD_MIB + BESIDES_MIB
        # Somebody else's body has a place: one address may have no more than its share.
        with Line(crowded, source=OTHERS[1]) as other:
            other.send(INVOCATION.spell(put()))
            assert other.answer().status == 200
        for line in lines:
            line.send(b"x")
        statuses = [line.answer().status for line in lines]
        assert set(statuses) == {200, 503}


def whole_and_a_byte_less(
    callers: list[str], server: Server, peer: str, stack: contextlib.ExitStack
) -> list[Line]:
    """Connections from ``peer``, each with a body of 2 MiB of a caller, but for its last byte."""
    lines = []
    for caller in callers:
        head = put(
            b"Content-Length: %d" % (2 * MIB), b"X-Forwarded-For: " + caller.encode(), body=b"", length=False
        )
        line = stack.enter_context(Line(server, source=peer))
        line.send(INVOCATION.spell(head) + bytes(2 * MIB - 1))
        eventually(line.is_read, "the front does not read", DEADLINE_SECONDS)
        lines.append(line)
    return lines


@pytest.mark.parametrize(
    ("peer", "has_place"), [(PROXY, True), (OTHERS[0], False)], ids=["proxy", "stranger"]
)
def test_bodies_that_a_trusted_proxy_brings_count_for_their_callers(
    crowded: Server, peer: str, has_place: bool
) -> None:
    """The control is a stranger who writes another caller's address: its bodies are its own all the same."""
    eventually(lambda: is_served(crowded), "the last test's connections are still there")
    greedy, other = "198.51.100.1", "198.51.100.2"
    with contextlib.ExitStack() as stack:
        lines = whole_and_a_byte_less([greedy] * 3, crowded, peer, stack)
        (line,) = whole_and_a_byte_less([other], crowded, peer, stack)
        line.send(b"x")
        assert line.answer().status == (200 if has_place else 503)
        for line in lines:
            line.send(b"x")
        assert {line.answer().status for line in lines} == {200, 503}


def test_connections_of_a_trusted_proxy_are_bounded_by_their_number_in_all(crowded: Server) -> None:
    eventually(lambda: is_served(crowded), "the last test's connections are still there")
    crowded.client.close()
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(served(crowded, PROXY)) for _ in range(MOST)]
        with Line(crowded, source=PROXY) as more:
            assert_envelope(asked(more), 503, str(MOST))
        assert all(asked(line).status == 200 for line in lines)
    eventually(lambda: is_served(crowded), "there is no room again though they have gone")
    crowded.client = client_of(crowded)


@pytest.fixture(scope="module")
def hurried(make: MakeServer) -> Server:
    """It has no time for heads, and much for everything else."""
    return make(head_seconds=1, keepalive_seconds=600)


@pytest.mark.promise("S113")
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "half", [b"GET", INVOCATION.spell(get())[:-2], HEALTH[:-1]], ids=["3", "all but 2", "all but 1"]
)
def test_half_a_head_is_waited_for_no_longer_than_its_setting_says(
    hurried: Server, first: int, half: bytes
) -> None:
    with Line(hurried) as idle, Line(hurried) as slow:
        for _ in range(first):
            assert asked(idle).status == asked(slow).status == 200
        slow.send(half)
        try:
            assert slow.answer().status == 408
            with pytest.raises(Ended):
                slow.answer()
        except Ended:
            pass
        # One that has begun nothing is kept: it is another setting's time that runs.
        assert asked(idle).status == 200


def test_a_head_that_comes_drop_by_drop_has_no_more_time_than_one_that_stops(hurried: Server) -> None:
    with Line(hurried) as line:
        line.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Drops: ")
        line.socket.settimeout(0.05)
        while True:
            line.send(b"x")
            with contextlib.suppress(TimeoutError):
                if not line.socket.recv(1, socket.MSG_PEEK):
                    break
                line.socket.settimeout(DEADLINE_SECONDS)
                assert line.answer().status == 408
                break
        line.socket.settimeout(DEADLINE_SECONDS)
        with pytest.raises(Ended):
            line.answer()


def test_a_slow_head_holds_a_connection_for_fifteen_seconds_unless_the_operator_says_otherwise() -> None:
    assert default_of("head_seconds") == 15.0
