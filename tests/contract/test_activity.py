"""``/activity``, ``cellblock top`` and ``cellblock instances``: what goes on, over all fronts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.processes import fronts_of
from tests.support.server import REPOSITORY, SPACE, TOKEN, Server

NAPS = "import time\ndef handle(req):\n    time.sleep(float(req.body or 0))\n    return {}\n"
RAISES = "def handle(req):\n    raise ValueError('no')\n"


def command(server: Server, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "supervisor.cli", *words, "--url", server.url],
        env={**os.environ, "CELLBLOCK_TOKEN": TOKEN, "CELLBLOCK_SPACE": SPACE, **environment},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def of(found: Any, name: str) -> dict[str, Any]:
    (row,) = [row for row in found if row["name"] == name]
    return dict(row)


@pytest.mark.promise("S63")
def test_calls_queues_instances_and_memory_are_those_of_all_fronts(server: Server) -> None:
    server.deploy("naps", NAPS, max_instances=1)
    server.deploy("naps-not", RAISES)
    for _ in range(12):  # whichever front takes them
        assert server.call("naps").status_code == 200
        assert server.call("naps-not").status_code == 500

    def now() -> dict[str, Any]:
        answer = server.client.get(f"/spaces/{SPACE}/activity")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    eventually(lambda: of(now()["functions"], "naps")["calls"] == {"answered": 12})
    found = now()
    assert (found["fronts"], found["missing"], found["left_out"]) == (2, 0, 0)
    assert of(found["functions"], "naps-not")["calls"] == {"raised": 12}
    assert sum(of(found["functions"], "naps")["durations"].values()) == 12
    calls = [threading.Thread(target=server.call, args=("naps",), kwargs={"content": "1"}) for _ in range(3)]
    for call in calls:
        call.start()
    eventually(lambda: of(now()["functions"], "naps")["waiting"] == 2)
    found = now()
    assert of(found["functions"], "naps")["running"] == 1
    one = of(found["instances"], "naps")
    assert (one["state"], one["running"], one["version"]) == ("busy", 1, 1)
    assert one["front"] in fronts_of(server.pid)
    assert one["memory_bytes"] == of(found["functions"], "naps")["memory_bytes"]
    for call in calls:
        call.join(30)


def test_a_space_shows_nothing_of_another_and_only_everything_shows_blank_cells(server: Server) -> None:
    server.deploy("mine", NAPS)
    server.call("mine")
    other = server.client.get("/spaces/default/activity").json()
    assert (other["functions"], other["instances"], other["cells"]) == ([], [], {})
    whole = server.client.get("/activity").json()
    assert of(whole["functions"], "mine")
    assert sum(whole["cells"].values()) >= 1
    only = server.client.get(f"/spaces/{SPACE}/activity", params={"name": "mine"}).json()
    assert {row["name"] for row in only["functions"] + only["instances"]} == {"mine"}


def test_nobody_without_a_credential_sees_anything_of_it(server: Server) -> None:
    for method, path in (
        ("GET", "/activity"),
        ("GET", f"/spaces/{SPACE}/activity"),
        ("POST", "/zygotes/renew"),
    ):
        answer = server.client.request(method, path, headers={"Authorization": "Bearer nobody"})
        assert answer.status_code == 401, path


def test_top_shows_what_happens_between_two_looks_also_on_a_dumb_terminal(server: Server) -> None:
    server.deploy("looked-at", NAPS)
    server.call("looked-at")
    stop = threading.Event()

    def calls() -> None:
        while not stop.is_set():
            server.call("looked-at")

    caller = threading.Thread(target=calls)
    caller.start()
    try:
        text = command(server, "top", "--once", "--interval", "0.3", TERM="dumb")
        as_json = command(server, "top", "--once", "--interval", "0.3", "--json")
    finally:
        stop.set()
        caller.join(30)
    assert text.returncode == 0, text.stderr
    (line,) = [line for line in text.stdout.splitlines() if line.startswith(f"{SPACE}/looked-at ")]
    assert "\x1b" not in text.stdout and " ms" in line
    (found,) = [
        one for one in json.loads(as_json.stdout)["functions"] if one["function"].endswith("/looked-at")
    ]
    assert found["calls_per_s"] > 1
    assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_instances_lists_them_by_function(server: Server) -> None:
    server.deploy("listed", NAPS)
    server.call("listed")
    found = json.loads(command(server, "instances", "listed", "--json").stdout)
    assert [(one["space"], one["name"], one["calls"]) for one in found] == [(SPACE, "listed", 1)]
    text = command(server, "instances", "listed").stdout
    assert found[0]["instance"] in text and f"{SPACE}/listed" in text
    typo = command(server, "instances", "listd")
    assert (typo.returncode, typo.stdout) == (1, "") and "did you mean 'listed'?" in typo.stderr
