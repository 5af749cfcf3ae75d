"""SIGTERM: running calls finish, idle connections do not hold the server up, a deadline ends the rest."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.server import SPACE, TOKEN, Server

# Says that it has started by way of the log, which the test reads.
SLOW = """
import sys, time
def handle(req):
    sys.stderr.write("begun\\n")
    time.sleep(float(req.body))
    return {"body": "finished"}
"""


def _slow_call(server: Server, seconds: float) -> tuple[threading.Thread, list[httpx.Response | Exception]]:
    """A call that is running inside its function when this returns."""
    outcome: list[httpx.Response | Exception] = []

    def call() -> None:
        try:
            outcome.append(
                httpx.post(
                    f"{server.url}/spaces/{SPACE}/functions/slow/invoke",
                    headers={"Authorization": f"Bearer {TOKEN}"},
                    content=str(seconds),
                    timeout=60,
                )
            )
        except httpx.HTTPError as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while "stderr: begun" not in server.log:
        assert time.monotonic() < deadline, server.log
    return thread, outcome


@pytest.mark.promise("S29")
def test_a_running_call_is_finished_when_the_server_is_told_to_stop(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(blank_cells=1)
    server.deploy("slow", SLOW)
    thread, outcome = _slow_call(server, 1.5)
    server.process.send_signal(signal.SIGTERM)
    thread.join(20)
    assert isinstance(outcome[0], httpx.Response), outcome
    assert (outcome[0].status_code, outcome[0].text) == (200, "finished")
    assert server.process.wait(20) == 0


def test_ctrl_c_drains_too_though_a_terminal_sends_it_to_the_whole_group(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(blank_cells=1)
    server.deploy("slow", SLOW)
    thread, outcome = _slow_call(server, 1.0)
    os.killpg(server.pid, signal.SIGINT)
    thread.join(20)
    assert isinstance(outcome[0], httpx.Response), outcome
    assert outcome[0].text == "finished"
    assert server.process.wait(20) == 0
    assert "ended; another starts" not in server.log


def test_idle_connections_do_not_hold_the_server_up(make_server: Callable[..., Server]) -> None:
    server = make_server(blank_cells=1)
    address = (server.url.split("//")[1].split(":")[0], int(server.url.rpartition(":")[2]))
    with contextlib.ExitStack() as open_connections:
        idle = [open_connections.enter_context(socket.create_connection(address)) for _ in range(20)]
        for connection in idle[:10]:  # half of them have been used, half have not
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
            assert b"200 OK" in connection.recv(4096)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5.0


def test_a_call_that_outlasts_the_drain_is_ended_at_its_deadline(make_server: Callable[..., Server]) -> None:
    server = make_server(blank_cells=1, drain_seconds=1)
    server.deploy("slow", SLOW, timeout=120)
    thread, outcome = _slow_call(server, 100)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10.0
    thread.join(20)
    assert len(outcome) == 1
