"""kill -9 of any process of ours: what it costs, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.processes import (
    all_gone_within,
    children_of,
    descendants_of,
    fronts_of,
    outer_uid,
    watch,
    zygotes_of,
)
from tests.support.server import SPACE, TOKEN, Server

HELLO = "def handle(req):\n    return {'body': 'hello'}\n"
SLOW = "import time\ndef handle(req):\n    time.sleep(30)\n    return {}\n"


@pytest.fixture
def fragile(make_server: Callable[..., Server]) -> Server:
    running = make_server(blank_cells=2)
    running.deploy("hello", HELLO)
    running.deploy("slow", SLOW, timeout=60)
    assert running.call("hello").text == "hello"
    return running


def _call_in_background(server: Server) -> tuple[threading.Thread, list[object]]:
    """A slow call that is running when this returns."""
    outcome: list[object] = []

    def call() -> None:
        try:
            outcome.append(httpx.post(
                f"{server.url}/spaces/{SPACE}/functions/slow/invoke",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=60,
            ))  # fmt: skip
        except httpx.HTTPError as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    path = f"/spaces/{SPACE}/functions/slow"
    # The server counts an instance once it is tied.
    eventually(lambda: server.client.get(path).json()["metrics"]["replicas"] > 0, "there is no instance")
    return thread, outcome


@pytest.mark.needs_root
@pytest.mark.promise("S26")
def test_a_front_that_is_killed_takes_only_its_own_calls_and_no_process_stays(fragile: Server) -> None:
    thread, outcome = _call_in_background(fragile)
    fronts = fronts_of(fragile.pid)
    assert len(fronts) == 2
    # The cell of the slow call belongs to one of them; both are killed in turn, so it ends with its own.
    cells = [pid for pid in children_of(fragile.pid) if outer_uid(pid) >= 100_000]
    for front in fronts:
        os.kill(front, signal.SIGKILL)
    thread.join(20)
    assert len(outcome) == 1 and isinstance(outcome[0], httpx.HTTPError)
    assert cells
    transport = httpx.HTTPTransport(retries=5)
    with httpx.Client(
        transport=transport, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
    ) as client:
        answer = client.post(f"{fragile.url}/spaces/{SPACE}/functions/hello/invoke")
        assert answer.text == "hello"
        slow = client.get(f"{fragile.url}/spaces/{SPACE}/functions/slow").json()
        assert slow["metrics"]["replicas"] == 0, "the dead front's cell still counts"


@pytest.mark.promise("S27")
def test_nothing_is_left_when_the_warden_is_killed(fragile: Server) -> None:
    thread, outcome = _call_in_background(fragile)
    watched = watch([*descendants_of(fragile.pid)])
    assert len(watched) > 8
    os.kill(fragile.pid, signal.SIGKILL)
    fragile.process.wait()
    assert all_gone_within(watched, 5.0)
    thread.join(10)
    assert isinstance(outcome[0], httpx.HTTPError)


def test_nothing_is_left_when_the_warden_is_told_to_stop(fragile: Server) -> None:
    watched = watch([*descendants_of(fragile.pid)])
    assert fragile.stop() == 0
    assert all_gone_within(watched, 1.0)


@pytest.mark.needs_root
@pytest.mark.promise("S28")
def test_a_zygote_that_is_killed_is_replaced_and_its_cells_go_on(fragile: Server) -> None:
    zygotes = zygotes_of(fragile.pid)
    assert zygotes
    watched = watch(zygotes)
    for zygote in zygotes:
        os.kill(zygote, signal.SIGKILL)
    assert all_gone_within(watched, 5.0)
    assert fragile.call("hello").text == "hello"  # its instance lives on
    fragile.deploy("new", HELLO)  # needs a check and an instance: blank ones or a new zygote's
    assert fragile.call("new").text == "hello"


def test_gunicorn_that_is_killed_is_started_again(fragile: Server) -> None:
    (master,) = [pid for pid in children_of(fragile.pid) if fronts_of(fragile.pid)[0] in children_of(pid)]
    watched = watch([master, *children_of(master)])
    os.kill(master, signal.SIGKILL)
    assert all_gone_within(watched, 5.0)
    # The listener is the warden's: a connection waits in its queue until a front is there.
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
        assert client.post(f"{fragile.url}/spaces/{SPACE}/functions/hello/invoke").text == "hello"


@pytest.mark.promise("S35")
def test_a_server_that_was_killed_starts_again_with_what_was_deployed(
    fragile: Server, make_server: Callable[..., Server]
) -> None:
    os.kill(fragile.pid, signal.SIGKILL)
    fragile.process.wait()
    again = make_server()  # the same data directory
    assert again.call("hello").text == "hello"
