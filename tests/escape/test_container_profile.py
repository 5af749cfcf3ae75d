"""``seccomp/container.json`` lets the whole server make its cells."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.processes import fronts_of
from tests.support.runtimes import only_default_runtime
from tests.support.server import Server

FILTERS_OF_A_FRONT = "2"  # the container's and its own

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]


def test_a_server_makes_its_cells_under_the_profile_for_containers(tmp_path: Path) -> None:
    server = Server(
        tmp_path / "data",
        1,
        wrap=[sys.executable, "-m", "tests.support.under", "container", "--"],
        runtimes_dir=only_default_runtime(tmp_path),
        preload="[]",
    )
    try:
        answer = server.run("hello", "def handle(req):\n    return {'body': 'hello'}\n")
        assert (answer.status_code, answer.text) == (200, "hello")
        layers = {
            layer["layer"]: layer["status"]
            for layer in server.client.get("/healthz?verbose").json()["layers"]
        }
        assert layers["tier"] == layers["seccomp"] == layers["namespaces"] == "enforced"
        status = Path(f"/proc/{fronts_of(server.pid)[0]}/status").read_text()
        assert f"Seccomp_filters:\t{FILTERS_OF_A_FRONT}\n" in status
    finally:
        assert server.stop() == 0, server.log
