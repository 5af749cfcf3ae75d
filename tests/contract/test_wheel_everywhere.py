"""The wheel in a clean environment of each Python of a server, from ``python -m build`` to a call.

A server of it runs as root and as an ordinary user.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.runtimes.interpreters import candidates, first_that_runs
from tests.support.as_user import ORDINARY_UID
from tests.support.server import Server
from tests.support.wheel import build_by_hand, clean_environment

SERVERS_MINORS = (11, 12, 13)
SETUP_SECONDS = 600.0
SOURCE = """
import sys
import numpy

def handle(req):
    return {"body": {"python": list(sys.version_info[:2]), "sum": int(numpy.arange(5).sum())}}
"""

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(1800),
    pytest.mark.needs_root,
    pytest.mark.needs_sandbox,
]


@pytest.fixture(scope="module", params=SERVERS_MINORS, ids=lambda minor: f"python3.{minor}")
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Path]]:
    found = first_that_runs(request.param, candidates(request.param))
    if found is None:
        pytest.skip(f"Python 3.{request.param} is not here")
    folder = tmp_path_factory.mktemp("wheel")
    python = str(found.python)
    programs = clean_environment(folder / "environment", python, build_by_hand(folder, python))
    done = subprocess.run(
        [str(programs / "cellblock"), "setup"], cwd="/", capture_output=True, text=True, timeout=SETUP_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert f"python3.{request.param}: ready" in done.stderr
    assert f"next: cellblock serve --examples {folder}/environment/share/cellblock/examples" in done.stderr
    yield request.param, programs


@pytest.mark.parametrize("uid", [None, ORDINARY_UID], ids=["root", "ordinary-user"])
def test_what_pip_installed_serves_deploys_and_calls(
    installed: tuple[int, Path], uid: int | None, tmp_path: Path
) -> None:
    minor, programs = installed
    data = tmp_path / "data"
    server = Server(data, 1, command=programs / "cellblock", uid=uid)
    try:
        assert server.run("sum", SOURCE).json() == {"python": [3, minor], "sum": 10}
        expected = "A-user" if uid else "A"
        layers = {each["layer"]: each for each in server.client.get("/healthz?verbose").json()["layers"]}
        assert layers["tier"]["evidence"] == expected
        warden = Path(f"/proc/{server.pid}/exe")
        assert os.readlink(warden).endswith(f"python3.{minor}")
    finally:
        assert server.stop() == 0, server.log
