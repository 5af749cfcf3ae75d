"""The life of instances: kept, frozen, replaced, and not tried again and again when they cannot start."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.eventually import SECONDS, eventually
from tests.support.groups import is_frozen
from tests.support.processes import all_gone_within, descendants_of, pid_namespace, watch
from tests.support.server import SPACE, Server

MARKED = "import os, secrets\nMARK = secrets.token_hex(4)\ndef handle(req):\n    return {'body': MARK}\n"
WHERE = "import os\ndef handle(req):\n    return {'body': os.readlink('/proc/self/ns/pid')}\n"
MakeServer = Callable[..., Server]


def replicas(server: Server, name: str) -> int:
    """Instances of a function over all fronts, those that still start among them."""
    found: int = server.client.get(f"/spaces/{SPACE}/functions/{name}").json()["metrics"]["replicas"]
    return found


def idle(server: Server, name: str) -> int:
    """Those that have started and wait for a call."""
    instances = server.client.get("/activity").json()["instances"]
    return sum(one["name"] == name and one["state"] == "idle" for one in instances)


def frozen_cells(server: Server) -> set[str]:
    """The pid namespaces of the server's cells that stand still."""
    return {pid_namespace(pid) for pid in descendants_of(server.pid) if is_frozen(pid)}


@pytest.mark.promise("S46")
def test_instances_that_are_to_be_kept_are_there_without_a_call_and_after_a_restart(
    make_server: MakeServer,
) -> None:
    server = make_server(workers=1)  # of two fronts one may have them all
    server.deploy("kept", MARKED, min_instances=2)
    eventually(lambda: idle(server, "kept") == 2)
    assert server.call("kept").headers["server-timing"].count("init;dur=0.000") == 1, "no cold start"
    assert server.stop() == 0
    again = make_server()
    eventually(lambda: replicas(again, "kept") == 2)


def test_of_two_fronts_not_each_keeps_its_own(make_server: MakeServer) -> None:
    server = make_server()
    server.deploy("kept", MARKED, min_instances=1)
    eventually(lambda: replicas(server, "kept") == 1)
    # Two rounds of both fronts' sweeps: whoever has none asks again each time.
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert replicas(server, "kept") == 1
    assert {server.call("kept").text for _ in range(4)} != set()


def has_one_instance_for_both_fronts(server: Server, name: str) -> bool:
    """Whether one instance answers calls over connections of their own, whichever front takes these."""
    server.deploy(name, WHERE, min_instances=1)
    eventually(lambda: len(frozen_cells(server)) == 1)
    (namespace,) = frozen_cells(server)
    answers = set()
    for _ in range(4):
        eventually(lambda: namespace in frozen_cells(server))  # so nobody has used it for a while
        url = f"{server.url}/spaces/{SPACE}/functions/{name}/invoke"
        answers.add(httpx.post(url, headers=dict(server.client.headers)).text)
    number = replicas(server, name)
    assert server.client.delete(f"/spaces/{SPACE}/functions/{name}").status_code == 204
    eventually(lambda: not frozen_cells(server))
    return answers == {namespace} and number == 1


def test_an_idle_instance_is_handed_to_the_other_front_when_that_has_the_call(
    make_server: MakeServer,
) -> None:
    server = make_server(freeze_seconds=1.1)
    # A front that does not answer within SPARE_ASK_S is not waited for, and the other starts its own: a busy
    # machine may do that to one of them.
    assert any(has_one_instance_for_both_fronts(server, f"kept-{number}") for number in range(3))


@pytest.fixture(scope="module")
def freezing(module_server: MakeServer) -> Server:
    """Where an instance is frozen as soon as it is idle."""
    return module_server(freeze_seconds=0.2)


def test_an_idle_instance_is_frozen_and_thawed_by_its_next_call(freezing: Server) -> None:
    freezing.deploy("idle", WHERE, max_instances=1)
    namespace = freezing.call("idle").text
    worker = max(pid for pid in descendants_of(freezing.pid) if pid_namespace(pid) == namespace)
    eventually(lambda: is_frozen(worker))
    assert freezing.call("idle").text == namespace
    eventually(lambda: is_frozen(worker))
    watched = watch([worker])
    freezing.deploy("idle", WHERE, max_instances=1, timeout=5)  # a frozen one can be ended
    assert all_gone_within(watched, SECONDS)
    assert freezing.call("idle").status_code == 200


def test_what_a_function_left_running_is_frozen_too(freezing: Server) -> None:
    source = (
        "import os, subprocess, sys\n"
        "BUSY = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "def handle(req):\n    return {'body': os.readlink('/proc/self/ns/pid')}\n"
    )
    freezing.deploy("busy", source)
    namespace = freezing.call("busy").text
    cell = sorted(pid for pid in descendants_of(freezing.pid) if pid_namespace(pid) == namespace)
    assert len(cell) == 3
    eventually(lambda: all(is_frozen(pid) for pid in cell[1:]))


def test_an_instance_that_has_served_its_calls_makes_way(make_server: MakeServer) -> None:
    server = make_server(recycle_calls=5)
    server.deploy("spent", MARKED, max_instances=1)
    first = server.call("spent").text
    for _ in range(5):
        assert server.call("spent").status_code == 200
    eventually(lambda: server.call("spent").text != first)
    assert "it has served" in server.log


@pytest.mark.promise("S60")
@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("import os\nos._exit(3)\ndef handle(req): pass\n", 502, "exited with code 3"),
        ("raise ValueError('no')\ndef handle(req): pass\n", 500, "ValueError at line 1: no"),
    ],
    ids=["dies", "raises"],
)
def test_a_function_that_fails_at_import_again_and_again_is_not_tried_for_a_while(
    server: Server, deploy: Deploy, source: str, status: int, says: str
) -> None:
    name = deploy(f"stillborn-{status}", source, max_instances=1)
    answers: list[Any] = []
    while not answers or answers[-1].status_code == status:
        answers.append(server.call(name))
        assert len(answers) < 50
    assert len(answers) > 3, "a few are told in full"
    error = assert_envelope(answers[-1], 503, "failed to start", "in a row", says)
    assert error["details"]["reason"] == "circuit"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    # A deploy is a new function.
    deploy(name, MARKED)
    assert server.call(name).status_code == 200
