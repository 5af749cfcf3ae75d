"""kill -9 of each kind of process, idle, in a call, in a deploy, and while a cell grows.

The points are held, not hit by luck: a call waits for a file of its own to go, and what grows waits for a
zygote that is stopped.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.fault.conftest import HELLO, MakeSmall, client_of, recovers
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.groups import leaf_names
from tests.support.holdings import excess, settled
from tests.support.packing import CODE
from tests.support.processes import (
    all_gone_within,
    children_of,
    command_line,
    descendants_of,
    fronts_of,
    pid_namespace,
    private_tmp,
    watch,
    zygotes_of,
)
from tests.support.server import SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

FUNCTIONS = f"/spaces/{SPACE}/functions"
# A family: pid 1, the worker, and a child that the module started.
FAMILY = """
import os, signal, time
CHILD = os.fork()
while CHILD == 0:
    signal.pause()

def handle(req):
    if req.body == b"wait":
        open("/tmp/waits", "w").close()
        while os.path.exists("/tmp/waits"):
            time.sleep(0.005)
    return {"body": os.readlink("/proc/self/ns/pid")}
"""
# Who is killed, and when; an idle zygote and an idle arbiter are in test_processes_that_die.py.
KILLS = {
    "front": ("idle", "in-a-call", "in-a-deploy", "while-a-cell-grows"),
    "arbiter": ("in-a-call", "in-a-deploy", "while-a-cell-grows"),
    "zygote": ("in-a-call", "in-a-deploy", "while-a-cell-grows"),
    "pid-1": ("idle", "in-a-call"),
    "worker": ("idle", "in-a-call", "in-a-deploy"),
    "child": ("idle", "in-a-call", "while-a-cell-grows"),
}
LOST = "the connection broke"


@pytest.fixture(scope="module")
def sturdy(small_server: MakeSmall) -> Iterator[Server]:
    """No blank cell is kept: whatever needs one waits for the zygote."""
    with small_server(blank_cells=0, queue_seconds=10) as running:
        running.deploy("hello", HELLO, max_instances=1)
        running.deploy("family", FAMILY, max_instances=1, timeout=60)
        recovers(running)
        yield running


class Background:
    """One request that is under way; ``result`` is its answer or LOST."""

    def __init__(self, server: Server, send: Callable[[httpx.Client], httpx.Response]) -> None:
        self._answers: list[httpx.Response | str] = []

        def run() -> None:
            try:
                with client_of(server, 60.0) as client:
                    self._answers.append(send(client))
            except httpx.HTTPError:
                self._answers.append(LOST)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self) -> httpx.Response | str:
        """Wait for it."""
        self._thread.join(30)
        assert len(self._answers) == 1, "no answer at all"
        return self._answers[0]


def family_now(server: Server) -> list[int]:
    """What there is of it."""
    with client_of(server) as client:
        answer = client.post(f"{FUNCTIONS}/family/invoke")
    assert answer.status_code in (200, 502), answer.text  # the call may be what meets a death
    if answer.status_code == 502:
        return family_now(server)
    return [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == answer.text]


def family_of(server: Server) -> list[int]:
    """Pid 1, the worker and the child of the family's instance, which is started if there is none."""
    found = family_now(server)
    assert len(found) == 3, found
    return found


def victims(server: Server, who: str) -> list[int]:
    """The processes to kill; of two fronts both, for who has the call is the kernel's choice."""
    family = family_of(server)
    if who == "front":
        return fronts_of(server.pid)
    if who == "arbiter":
        return [pid for pid in children_of(server.pid) if "supervisor.front.server" in command_line(pid)]
    if who == "zygote":
        return zygotes_of(server.pid)
    return [family[("pid-1", "worker", "child").index(who)]]


def kill(pids: list[int]) -> None:
    """SIGKILL to each, and wait until they are gone."""
    assert pids
    watched = watch(pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert all_gone_within(watched, 5.0)


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Processes that do nothing until the end of this, if they are there then."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def at_point(server: Server, point: str, who: str) -> httpx.Response | str | None:
    """Kill at that point; what came of the request that was under way."""
    if point == "idle":
        kill(victims(server, who))
        return None
    targets = victims(server, who)
    if point == "in-a-call":
        folder = private_tmp(family_of(server)[1])
        request = Background(server, lambda client: client.post(f"{FUNCTIONS}/family/invoke", content="wait"))
        eventually((folder / "waits").exists, "the call does not run")
        kill(targets)
        with contextlib.suppress(OSError):  # gone with its instance
            (folder / "waits").unlink()
        return request.result()
    send = deploying(server) if point == "in-a-deploy" else calling(server)
    with stopped(zygotes_of(server.pid)):
        before = leaf_names(server.data_dir)
        request = Background(server, send)
        eventually(lambda: leaf_names(server.data_dir) - before, "no cell is asked for")
        kill(targets)
    return request.result()


def deploying(server: Server) -> Callable[[httpx.Client], httpx.Response]:
    """A deploy, which needs a cell for its check."""
    body = {"name": "fresh", "source": {"code": base64.b64encode(CODE).decode()}}
    return lambda client: client.post(FUNCTIONS, json=body)


def calling(server: Server) -> Callable[[httpx.Client], httpx.Response]:
    """The first call of a function, which needs a cell."""
    server.deploy("fresh", HELLO)
    return lambda client: client.post(f"{FUNCTIONS}/fresh/invoke")


def assert_as_promised(who: str, point: str, result: Any) -> None:
    """What the one request that was under way may come to."""
    if point == "idle":
        assert result is None
    elif who in ("front", "arbiter"):
        assert result == LOST, "its front was killed"
    elif point == "in-a-call" and who in ("pid-1", "worker"):
        error = assert_envelope(result, 502, "SIGKILL")
        assert (error["details"]["reason"], error["details"]["signal"]) == ("crashed", 9)
    elif point != "in-a-call" and who == "zygote" and result.status_code == 503:
        assert_envelope(result, 503, "try again" if "try again" in result.text else "zygote")
        assert int(result.headers["retry-after"]) >= 0
    else:
        assert result.status_code in (200, 201), result.text


@pytest.mark.parametrize(("who", "point"), [(who, point) for who in KILLS for point in KILLS[who]])
def test_a_process_that_is_killed_costs_what_was_its_own_and_is_replaced(
    sturdy: Server, who: str, point: str
) -> None:
    family_of(sturdy)
    before = settled(sturdy)
    result = at_point(sturdy, point, who)
    assert_as_promised(who, point, result)
    recovers(sturdy)
    with client_of(sturdy) as client:
        assert client.delete(f"{FUNCTIONS}/fresh").status_code in (204, 404)
    if who == "child":  # its family goes on without it; the next one is whole again
        kill(family_now(sturdy)[:1])
    family_of(sturdy)
    assert excess(sturdy, before) == {}


@pytest.mark.parametrize("point", ["in-a-deploy", "while-a-cell-grows"])
def test_a_cell_that_is_killed_before_it_is_built_costs_nobody_more_than_a_503(
    sturdy: Server, point: str
) -> None:
    """Cloned and not yet built: the warden is stopped while the zygote clones, and hears of both at once."""
    family_of(sturdy)
    before = settled(sturdy)
    send = deploying(sturdy) if point == "in-a-deploy" else calling(sturdy)
    zygotes = zygotes_of(sturdy.pid)
    known = set(children_of(sturdy.pid))
    with stopped(zygotes):
        groups = leaf_names(sturdy.data_dir)
        request = Background(sturdy, send)
        eventually(lambda: leaf_names(sturdy.data_dir) - groups, "no cell is asked for")
        # The leaf comes first: what the warden answers after it, it answers once it has asked the zygote.
        assert sturdy.client.get("/activity").status_code == 200
        with stopped([sturdy.pid]):
            for zygote in zygotes:
                os.kill(zygote, signal.SIGCONT)
            eventually(lambda: set(children_of(sturdy.pid)) - known, "no cell is cloned")
            (cell,) = set(children_of(sturdy.pid)) - known
            os.kill(cell, signal.SIGKILL)
    result = request.result()
    assert isinstance(result, httpx.Response)
    assert result.status_code in (200, 201, 503), result.text
    if result.status_code == 503:
        assert_envelope(result, 503)
        assert int(result.headers["retry-after"]) >= 0
    recovers(sturdy)
    with client_of(sturdy) as client:
        assert client.delete(f"{FUNCTIONS}/fresh").status_code in (204, 404)
    assert excess(sturdy, before) == {}
