"""kill -9 of the front that rotates the sealing key, and of the server, at moments that nobody chose."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import httpx
import pytest

from tests.fault.conftest import HELLO, MakeSmall, client_of, recovers
from tests.support.eventually import eventually
from tests.support.processes import fronts_of
from tests.support.server import SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow, pytest.mark.timeout(300)]

VALUES = {f"V{number}": f"value {number} " + "x" * 300 for number in range(400)}
READER = """
from function import variables

def handle(req):
    return {"body": "".join(variables.get(f"V{number}") for number in range(400))}
"""
KILLS = 6


def rotation(server: Server) -> threading.Thread:
    """Asks for a rotation, and takes whatever comes of it."""

    def ask() -> None:
        try:
            with client_of(server, 30.0) as client:
                client.post("/sealing-key/rotate")
        except httpx.HTTPError:
            pass

    asking = threading.Thread(target=ask)
    asking.start()
    return asking


def fill(server: Server) -> None:
    """Values, a function that reads all of them, and one that ``recovers`` calls."""
    for name, value in VALUES.items():
        assert server.client.put(f"/spaces/{SPACE}/variables/{name}", json={"value": value}).is_success
    server.deploy("reads", READER)
    server.deploy("hello", HELLO)


def all_values_are_there(server: Server) -> None:
    def answers() -> bool:
        try:
            with client_of(server) as client:
                answer = client.post(f"/spaces/{SPACE}/functions/reads/invoke")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.text == "".join(VALUES.values())

    eventually(answers, "a value is lost")
    with client_of(server) as client:
        listed = client.get(f"/spaces/{SPACE}/variables").json()["data"]
    assert {one["name"]: one["value"] for one in listed} == VALUES


def finished(server: Server) -> bytes:
    """The key that is there at the end."""

    def is_done() -> bool:
        with client_of(server) as client:
            answer = client.post("/sealing-key/rotate")
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code == 200 and len(answer.json()["keys"]) == 1

    eventually(is_done, "the rotation does not end")
    return (server.data_dir / "front/sealing.key").read_bytes()


def test_a_front_that_is_killed_in_a_rotation_leaves_every_value_readable(small_server: MakeSmall) -> None:
    with small_server() as server:
        fill(server)
        before = (server.data_dir / "front/sealing.key").read_bytes()
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        for _ in range(KILLS):
            asking = rotation(server)
            time.sleep(chance.uniform(0, 0.4))  # the moment of the kill: nothing waits for it
            for pid in fronts_of(server.pid):
                os.kill(pid, signal.SIGKILL)
            asking.join(60)
            recovers(server)
            all_values_are_there(server)
        after = finished(server)
        assert len(after) == 32 and after != before, f"seed {seed}"
        all_values_are_there(server)


class KilledError(Exception):
    """The server is killed here (by ``small_server``)."""


def test_a_server_that_is_killed_in_a_rotation_starts_with_every_value(
    small_server: MakeSmall, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(KilledError), small_server(folder) as server:
        fill(server)
        key_file = server.data_dir / "front/sealing.key"
        before = key_file.read_bytes()
        rotation(server)
        eventually(lambda: key_file.stat().st_size > len(before), "no rotation began")
        raise KilledError
    assert key_file.read_bytes() != before
    with small_server(folder) as server:
        all_values_are_there(server)
        after = finished(server)
        assert len(after) == 32 and after != before
        all_values_are_there(server)
