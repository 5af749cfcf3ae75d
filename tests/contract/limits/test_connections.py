"""Connections: idle ones are kept and cost nobody a call, more than the server takes are turned away."""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import pytest

from tests.conftest import MakeServer
from tests.escape.stage import KeptAlive
from tests.support.bystander import bystander_on
from tests.support.descriptors import open_in, room_for
from tests.support.eventually import eventually
from tests.support.processes import fronts_of
from tests.support.raw_http import BEARER, read_answer, target
from tests.support.server import Server

IDLE = 300
# Connections that a front may still take in the test of too many.
ROOM = 40
DEADLINE_SECONDS = 20.0
# Says how many calls its instance has had.
SOURCE = """
import itertools
numbers = itertools.count(1)
def handle(req):
    return {"body": str(next(numbers))}
"""


@pytest.fixture(scope="module")
def single(module_server: MakeServer) -> Server:
    """A server with one front, so that it is known which one has the connections."""
    running = module_server(workers=1, blank_cells=1)
    running.deploy("counts", SOURCE, max_instances=1)
    return running


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)


def test_hundreds_of_idle_connections_are_kept_and_each_may_still_be_used(single: Server) -> None:
    with bystander_on(single) as bystander, contextlib.ExitStack() as stack:
        kept = []
        for _ in range(IDLE):
            connection = KeptAlive(single)
            stack.callback(connection.close)
            kept.append(connection)
        first = kept[0].ask("POST", target("counts"), (), b"")
        for connection in kept[1:]:
            assert connection.ask("GET", "/healthz", (), b"").status == 200
        bystander.answered_again()
        # The oldest and the youngest alike, and each request is one call and no more.
        for number, connection in enumerate((kept[0], kept[-1], kept[IDLE // 2]), int(first.body) + 1):
            assert connection.ask("POST", target("counts"), (), b"").body == b"%d" % number


@pytest.mark.needs_root
def test_connections_that_never_say_a_word_cost_nobody_a_call(single: Server) -> None:
    (front,) = fronts_of(single.pid)
    before = open_in(front)
    with bystander_on(single) as bystander:
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(connect(single)) for _ in range(IDLE)]
            for connection in silent[::2]:  # a request that has begun and does not go on
                connection.sendall(b"POST / HTTP/1.1\r\nHost:")
            eventually(lambda: open_in(front) >= before + IDLE, "they were not accepted")
            bystander.answered_again()
            silent[1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(silent[1], "GET").status == 200
        eventually(lambda: open_in(front) < before + 20, "they were not let go")


@pytest.mark.needs_root  # who may lower another process's limit
def test_more_connections_than_the_server_takes_are_turned_away_and_those_it_has_are_served(
    single: Server,
) -> None:
    (front,) = fronts_of(single.pid)
    with bystander_on(single) as bystander, contextlib.ExitStack() as stack:
        first = int(single.call("counts").text)
        held = KeptAlive(single)
        stack.callback(held.close)
        assert held.ask("GET", "/healthz", (), b"").status == 200
        stack.enter_context(room_for(front, ROOM))
        asked = [stack.enter_context(connect(single)) for _ in range(3 * ROOM)]
        for connection in asked:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        bystander.answered_again()
        for number in range(first + 1, first + 4):
            assert held.ask("POST", target("counts"), (), b"").body == b"%d" % number
        # Whoever it took is answered; whoever it did not is hung up on, or waits in the queue.
        served = [connection for connection in asked if _is_served(connection)]
        assert 0 < len(served) <= ROOM
        for connection in asked:
            connection.close()
        eventually(lambda: _is_answered(single), "nobody new is answered though there is room again")
    assert fronts_of(single.pid) == [front]
    assert int(single.call("counts").text) == first + 4


def _is_served(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(12) == b"HTTP/1.1 200"
    except (TimeoutError, ConnectionResetError):
        return False


def _is_answered(server: Server) -> bool:
    request = f"GET /healthz HTTP/1.1\r\nHost: x\r\n{BEARER[0]}: {BEARER[1]}\r\n\r\n"
    try:
        with connect(server) as connection:
            connection.sendall(request.encode())
            return read_answer(connection, "GET").status == 200
    except OSError:
        return False
