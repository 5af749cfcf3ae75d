"""Callers whose connections are half open, slow to read or slow to write: nobody else notices."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fault.conftest import HELLO, MakeSmall, recovers
from tests.support.bystander import bystander_on
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.holdings import excess, settled
from tests.support.processes import descendants_of, fronts_of, pid_namespace, private_tmp
from tests.support.raw_http import BEARER, read_answer, target
from tests.support.server import SPACE, Server

pytestmark = pytest.mark.slow

FUNCTIONS = f"/spaces/{SPACE}/functions"
MANY = 40
TCP_REPAIR = 19
LARGE = 4 << 20
# Waits for its file to go, so that a test says when its call ends.
WAITS = """
import os, time

def handle(req):
    if req.body == b"wait":
        open("/tmp/waits", "w").close()
        while os.path.exists("/tmp/waits"):
            time.sleep(0.005)
    return {"body": os.readlink("/proc/self/ns/pid")}
"""


@pytest.fixture(scope="module")
def single(small_server: MakeSmall) -> Iterator[Server]:
    with small_server(workers=1, body_seconds=1) as running:
        running.deploy("hello", HELLO, max_instances=1)
        running.deploy("waits", WAITS, max_instances=1, timeout=60)
        running.deploy("large", f"def handle(req):\n    return {{'body': b'x' * {LARGE}}}\n", max_instances=1)
        recovers(running, fronts=1)
        yield running


@pytest.fixture
def unharmed(single: Server) -> Iterator[Server]:
    """A bystander is called all the while, and what the server holds is the same afterwards."""
    with bystander_on(single):
        for name in ("waits", "large"):
            assert single.call(name).status_code == 200
        before = settled(single)
        yield single
        recovers(single, fronts=1)
        assert excess(single, before) == {}
    assert single.client.delete(f"{FUNCTIONS}/the-bystander").status_code == 204


def connect(server: Server, receive_bytes: int = 0) -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.socket()
    if receive_bytes:  # before the connection, or the window is already wide
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(20)
    connection.connect((address.hostname, address.port))
    return connection


def request(name: str, body: bytes = b"", length: int | None = None) -> bytes:
    head = f"POST {target(name)} HTTP/1.1\r\nHost: x\r\n{BEARER[0]}: {BEARER[1]}\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def vanish(connection: socket.socket) -> None:
    """Close without a word to the other side, as a machine that loses its power."""
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    connection.close()


def waiting_file(server: Server) -> Path:
    """The file that a call of ``waits`` waits for."""
    namespace = server.call("waits").text
    worker = [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace][-1]
    return private_tmp(worker) / "waits"


@pytest.mark.needs_root  # TCP_REPAIR, and another user's /tmp
def test_a_caller_that_vanishes_in_its_call_costs_one_answer_that_nobody_hears(unharmed: Server) -> None:
    for _ in range(3):
        file = waiting_file(unharmed)
        connection = connect(unharmed)
        connection.sendall(request("waits", b"wait"))
        eventually(file.exists, "the call does not run")
        vanish(connection)
        with contextlib.suppress(FileNotFoundError):  # a server may have ended the call by itself
            file.unlink()
        assert unharmed.call("waits").status_code == 200


def test_a_caller_that_has_said_all_and_shut_its_side_is_answered(unharmed: Server) -> None:
    def is_answered() -> bool:
        with connect(unharmed) as connection:
            connection.sendall(request("hello"))
            connection.shutdown(socket.SHUT_WR)
            data = b""
            with contextlib.suppress(ConnectionError):
                data = connection.recv(1 << 16)
        assert data == b"" or data.startswith(b"HTTP/1.1 200 ")
        return data != b""

    # One that might be gone is waited for half a second, in which a busy machine may have no answer.
    eventually(is_answered, "nobody who has shut its side is answered")


def test_callers_that_vanish_inside_their_bodies_leave_nothing(unharmed: Server) -> None:
    for _ in range(MANY):
        with connect(unharmed) as connection:
            connection.sendall(request("hello", b"half", 1 << 20))
            # An abort: RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_callers_that_do_not_read_their_answers_hold_no_instance(unharmed: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(unharmed, 4096)) for _ in range(8)]
        for connection in slow:
            connection.sendall(request("large"))
        # There is one instance, and it has answered all of them: it is free for whoever reads.
        assert len(unharmed.call("large").content) == LARGE
        # One of them changes its mind: it gets all of it, and the same as any other.
        answer = read_answer(slow[0], "POST")
        assert (answer.status, answer.body) == (200, b"x" * LARGE)
        assert slow[1].recv(100).startswith(b"HTTP/1.1 200 ")


def test_callers_that_write_a_byte_at_a_time_are_told_when_their_time_is_up(unharmed: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(unharmed)) for _ in range(MANY)]
        for connection in slow:
            connection.sendall(request("hello", b"", 1000))
        told = []
        while len(told) < MANY:  # the time is the server's: 1 s for the whole body
            for connection in [one for one in slow if one not in told]:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(b"x")
                connection.settimeout(0.005)
                with contextlib.suppress(TimeoutError):
                    if connection.recv(1, socket.MSG_PEEK):
                        told.append(connection)
        for connection in told:
            connection.settimeout(20)
            assert_envelope(read_answer(connection, "POST"), 408, "did not arrive within 1 s")


def test_heads_that_are_written_a_byte_at_a_time_cost_nobody_else_a_call(unharmed: Server) -> None:
    (front,) = fronts_of(unharmed.pid)
    head = request("hello")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(unharmed)) for _ in range(MANY)]
        for number in range(len(head) - 1):
            for connection in slow:
                connection.sendall(head[number : number + 1])
        assert unharmed.call("hello").text == "hello"
        for connection in slow[: MANY // 2]:  # half of them come to an end, as slowly
            connection.sendall(head[-1:])
            answer = read_answer(connection, "POST")
            assert (answer.status, answer.body) == (200, b"hello")
    assert fronts_of(unharmed.pid) == [front]


@pytest.fixture(scope="module")
def impatient(small_server: MakeSmall) -> Iterator[Server]:
    with small_server(workers=1, keepalive_seconds=1, head_seconds=2, unread_seconds=1) as running:
        running.deploy("hello", HELLO)
        running.deploy("large", f"def handle(req):\n    return {{'body': b'x' * {LARGE}}}\n")
        yield running


@pytest.mark.parametrize("first", ["", f"POST {target('hello')} HTT"], ids=["nothing", "half a head"])
@pytest.mark.parametrize("calls", [0, 1])
def test_a_connection_that_brings_no_request_is_closed(impatient: Server, first: str, calls: int) -> None:
    with connect(impatient) as connection:
        for _ in range(calls):
            connection.sendall(request("hello"))
            assert read_answer(connection, "POST").status == 200
        connection.sendall(first.encode())
        assert connection.recv(1) == b""


def test_an_answer_that_nobody_reads_is_held_for_a_while_and_no_longer(impatient: Server) -> None:
    with connect(impatient, 4096) as unread, connect(impatient, 4096) as slow:
        for connection in (unread, slow):
            connection.sendall(request("large"))
        # One that reads a little of it now and then gets it all.
        answer = read_answer(slow, "POST")
        assert (answer.status, answer.body) == (200, b"x" * LARGE)
        kernel_has_all = select.poll()
        kernel_has_all.register(unread, select.POLLHUP | select.POLLERR)
        assert kernel_has_all.poll(20_000), "a connection that nobody reads from is kept"
        with pytest.raises(ConnectionResetError):
            while unread.recv(1 << 16):
                pass


def test_a_caller_that_waits_to_be_asked_for_its_body_is_asked(impatient: Server) -> None:
    for path in (target("hello"), f"/spaces/{SPACE}/variables/colour"):
        with connect(impatient) as connection:
            body = b'{"value": 1}'
            connection.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: x\r\n{BEARER[0]}: {BEARER[1]}\r\nExpect: 100-continue\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            assert read_answer(connection, "PUT").status in (200, 201, 204)


def test_a_caller_whose_body_is_not_wanted_is_not_asked_for_it(impatient: Server) -> None:
    with connect(impatient) as connection:
        connection.sendall(
            f"POST {target('hello')} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            f"Content-Length: 10\r\n\r\n".encode()
        )
        assert read_answer(connection, "POST").status == 401
