"""A server that is pid 1, with the ids that a container gives it, but without an engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from supervisor.warden.jail.id_maps import LEAST_IDS
from tests.support.as_pid_1 import COVERED, ON_THE_HOST, WHOLE
from tests.support.runtimes import only_default_runtime
from tests.support.server import Server

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]

FIRST_OUTSIDE = 300_000
SOURCE = """
import os

def handle(req):
    maps = open("/proc/self/uid_map").read().split()
    return {"body": {"outer": maps[1::3], "processes": [int(e) for e in os.listdir("/proc") if e.isdigit()]}}
"""


def ids_of(count: int) -> str:
    return f"0:{FIRST_OUTSIDE}:{count}"


@pytest.mark.promise("S181")
@pytest.mark.promise("T91")
@pytest.mark.parametrize(
    ("ids", "proc", "tier", "cells_own"),
    [
        pytest.param(ON_THE_HOST, COVERED, "A", 2, id="root"),
        pytest.param(ids_of(LEAST_IDS + 1), COVERED, "A", 2, id="root-of-few-ids"),
        pytest.param(ids_of(1), WHOLE, "A-user", 1, id="root-of-one-id"),
    ],
)
def test_as_pid_1_a_server_deploys_calls_and_ends_with_the_ids_that_it_has(
    tmp_path: Path, ids: str, proc: str, tier: str, cells_own: int
) -> None:
    data, runtimes = tmp_path / "data", only_default_runtime(tmp_path)
    data.mkdir()
    if ids != ON_THE_HOST:
        os.chown(data, FIRST_OUTSIDE, FIRST_OUTSIDE)
    wrap = [sys.executable, "-m", "tests.support.as_pid_1", ids, proc, str(data), str(runtimes), "--"]
    server = Server(data, 1, wrap=wrap, runtimes_dir=runtimes, preload="[]")
    try:
        said = server.run("who", SOURCE).json()
        assert len(set(said["outer"])) == cells_own
        assert "0" not in said["outer"]
        assert said["processes"] == [2]  # of the cell itself it sees its own user's
        layers = {each["layer"]: each for each in server.client.get("/healthz?verbose").json()["layers"]}
        assert layers["tier"]["evidence"] == tier
        assert layers["pid-namespace"]["status"] == "enforced"
    finally:
        assert server.stop() == 0, server.log
