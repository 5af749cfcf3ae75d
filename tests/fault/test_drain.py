"""SIGTERM: running calls finish, idle connections do not hold the server up, a deadline ends the rest."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.eventually import eventually
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
    thread, outcome = _in_background(server, seconds)
    server.said("stderr: begun")
    return thread, outcome


def _in_background(
    server: Server, seconds: float = 0
) -> tuple[threading.Thread, list[httpx.Response | Exception]]:
    """A call that has been sent, or is about to be."""
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


ONE_BY_ONE = "import time\ndef handle(req):\n    time.sleep(0.3)\n    return {'body': 'in turn'}\n"
QUICK = "def handle(req):\n    return {'body': 'quick'}\n"


class Caller(threading.Thread):
    """Calls until nobody takes its connections any more; ``lost`` are calls that got no answer."""

    def __init__(self, server: Server, name: str, keeps_alive: bool) -> None:
        super().__init__(daemon=True)
        self._address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        self.keeps_alive = keeps_alive
        self._request = (
            f"POST /spaces/{SPACE}/functions/{name}/invoke HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n"
            f"Authorization: Bearer {TOKEN}\r\n\r\n"
        ).encode()
        self.statuses: list[int] = []
        self.lost: list[str] = []

    def run(self) -> None:
        while True:
            try:
                stream = socket.create_connection(self._address, 30)
            except (ConnectionRefusedError, ConnectionResetError):
                return  # not accepted, or ended before a call was sent: nothing is lost
            with stream:
                while self._is_answered(stream) and self.keeps_alive:
                    pass
            if self.lost:
                return

    def _is_answered(self, stream: socket.socket) -> bool:
        """Send one call; False when the connection ends with its answer, as that said, or without one."""
        try:
            stream.sendall(self._request)
            answer = http.client.HTTPResponse(stream)
            answer.begin()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(repr(error))
            return False
        self.statuses.append(answer.status)
        return not answer.will_close


@pytest.mark.promise("S64")
def test_under_load_no_call_is_lost_or_reset_queued_ones_neither(make_server: Callable[..., Server]) -> None:
    server = make_server(blank_cells=2)
    server.deploy("quick", QUICK)
    server.deploy("in-turn", ONE_BY_ONE, max_instances=1)
    callers = [Caller(server, "quick", keeps_alive) for keeps_alive in (True, False) * 4]
    # One runs, the others wait: for the one instance that there may be.
    callers += [Caller(server, "in-turn", True) for _ in range(6)]
    for caller in callers:
        caller.start()
    eventually(lambda: all(caller.statuses for caller in callers))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    for caller in callers:
        caller.join(30)
    assert [caller.lost for caller in callers if caller.lost and caller.keeps_alive] == []
    # Whoever connects between the last look at the backlog and its end never reached the server, and cannot
    # be told so otherwise: there is no taking what is there and closing in one step.
    unheard = [lost for caller in callers for lost in caller.lost]
    assert unheard in ([], [repr(ConnectionResetError(104, "Connection reset by peer"))])
    assert {status for caller in callers for status in caller.statuses} == {200}


def test_calls_that_outlast_the_drain_are_answered_at_its_deadline(
    make_server: Callable[..., Server],
) -> None:
    # One front: of two, each ends by its own clock, and the call that waits at the later one may be given the
    # instance that the earlier one has just freed, and be answered.
    server = make_server(workers=1, blank_cells=1, drain_seconds=1)
    server.deploy("slow", SLOW, timeout=120, max_instances=1)
    thread, outcome = _slow_call(server, 100)
    waiting, answers = _in_background(server)
    eventually(lambda: server.client.get(f"/spaces/{SPACE}/activity").json()["functions"][0]["waiting"] == 1)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5.0
    thread.join(20)
    waiting.join(20)
    running, queued = outcome[0], answers[0]
    assert isinstance(running, httpx.Response) and isinstance(queued, httpx.Response), (outcome, answers)
    assert (running.status_code, queued.status_code) == (503, 503)
    assert "may have happened in part" in running.text
    assert "in part" not in queued.text and queued.headers["Retry-After"]
