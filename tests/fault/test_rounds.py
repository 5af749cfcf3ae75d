"""Fifty rounds of faults: every other call is right in each of them, and what the server holds is the same.

Fifty rounds of a function's own mistakes are in ``test_leaks.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from urllib.parse import urlsplit

import pytest

from tests.fault.conftest import HELLO, MakeSmall, recovers
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.holdings import excess, settled
from tests.support.processes import all_gone_within, descendants_of, pid_namespace, watch
from tests.support.raw_http import BEARER, target
from tests.support.server import SPACE, Server

ROUNDS = 50
# A cell with a child and a thread, a file, a pipe and a socket pair that nobody closes.
UNTIDY = """
import os, signal, socket, threading
KEPT = [os.pipe(), socket.socketpair(), open("/tmp/kept", "w")]
CHILD = os.fork()
while CHILD == 0:
    signal.pause()
threading.Thread(target=threading.Event().wait, daemon=True).start()

def handle(req):
    if req.body == b"raise":
        raise ValueError("as asked")
    return {"body": os.readlink("/proc/self/ns/pid")}
"""


def killed(server: Server, which: int) -> None:
    """kill -9 of pid 1 (0), the worker (1) or its child (2), and an answer from the next instance."""
    namespace = server.call("untidy").text
    family = [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace]
    watched = watch(family[:2] if which < 2 else family[2:3])
    os.kill(family[which], signal.SIGKILL)
    assert all_gone_within(watched, 5.0)
    eventually(lambda: server.call("untidy").status_code == 200, "no other instance")


def left(server: Server, data: bytes) -> None:
    """A caller that hangs up after these bytes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), 20) as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def one_round(server: Server, number: int) -> None:
    head = f"POST {target('hello')} HTTP/1.1\r\nHost: x\r\n{BEARER[0]}: {BEARER[1]}\r\n"
    killed(server, number % 3)
    left(server, b"")
    left(server, head[: number % len(head)].encode())
    left(server, f"{head}Content-Length: 100\r\n\r\nhalf".encode())
    left(server, f"{head}Content-Length: 0\r\n\r\n".encode())
    assert_envelope(server.call("untidy", content=b"raise"), 500, "as asked", is_invoked=True)
    # A connection whose body was not read ends, which the server does not say.
    large = bytes((1 << 20) + 1)
    assert_envelope(server.call("hello", content=large, headers={"Connection": "close"}), 413)
    assert server.call("hello").text == "hello"


@pytest.mark.needs_root  # who may kill another user's processes
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_fifty_rounds_of_killed_cells_and_lost_callers_leave_nothing_behind(small_server: MakeSmall) -> None:
    with small_server(blank_cells=2) as server:
        server.deploy("hello", HELLO, max_instances=1, max_request=1)
        server.deploy("untidy", UNTIDY, max_instances=1)
        for number in range(3):
            one_round(server, number)
        server.client.delete(f"/spaces/{SPACE}/functions/untidy")
        before = settled(server)
        server.deploy("untidy", UNTIDY, max_instances=1)
        for number in range(ROUNDS):
            one_round(server, number)
        server.client.delete(f"/spaces/{SPACE}/functions/untidy")
        assert excess(server, before) == {}
        recovers(server)
        assert not re.search(r"^Traceback", server.log, re.MULTILINE), "one of ours"
