"""The folder of bundles is a cache: nothing is lost when it, or a part of it, is deleted at any time."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.conftest import MakeSmall
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.packing import zipped
from tests.support.server import SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

HANDLER = b"""
import os

def handle(req):
    if req.path == "/end":
        os._exit(3)
    from parts import said
    return {"body": said.TEXT}
"""


def package(text: str) -> bytes:
    return zipped(
        ("handler.py", HANDLER), ("parts/__init__.py", b""), ("parts/said.py", f"TEXT = {text!r}\n".encode())
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, small_server: MakeSmall) -> Iterator[Server]:
    with small_server(tmp_path_factory.mktemp("deleted")) as running:
        yield running


def bundles(server: Server) -> Path:
    return server.data_dir / "front/bundles"


@pytest.mark.promise("S159")
def test_all_bundles_can_be_deleted_while_the_server_serves(server: Server) -> None:
    server.deploy("cold", package("cold"))
    server.deploy("warm", package("warm"))
    assert server.call("warm", "/end").status_code == 502  # its instance has imported no part of its package
    server.deploy("running", "def handle(req):\n    return {'body': 'running'}\n")
    assert server.call("running").text == "running"
    shutil.rmtree(bundles(server))
    assert server.call("running").text == "running"
    for name in ("cold", "warm"):
        assert server.call(name).text == name
    assert server.deploy("later", package("later"))["version"] == 1
    assert server.call("later").text == "later"


def test_all_bundles_can_be_deleted_between_two_starts(small_server: MakeSmall, tmp_path: Path) -> None:
    """The warden makes the folder, as root: no front could write to it, and every call was a 500."""
    with small_server(tmp_path) as before:
        before.deploy("kept", package("kept"))
    shutil.rmtree(bundles(before))
    with small_server(tmp_path) as after:
        assert after.call("kept").text == "kept"
        assert after.deploy("later", package("later"))["version"] == 1


def test_an_instance_whose_code_was_deleted_makes_way_for_one_that_has_it(server: Server) -> None:
    """What it has not imported yet it can import no more, so it must not go on."""
    lazy = HANDLER.replace(b'"/end"', b'"/begin"').replace(b"os._exit(3)", b'return {"body": "began"}')
    server.deploy(
        "lazy",
        zipped(("handler.py", lazy), ("parts/__init__.py", b""), ("parts/said.py", b"TEXT = 'lazy'\n")),
    )
    assert server.call("lazy", "/begin").text == "began"
    shutil.rmtree(bundles(server))
    eventually(lambda: server.call("lazy").text == "lazy")


@pytest.mark.parametrize("part", ["handler.py", "parts"])
def test_a_bundle_of_which_a_part_was_deleted_is_whole_at_the_next_start(server: Server, part: str) -> None:
    digest = server.deploy("partly", package(f"partly {part}"))["digest"]
    assert server.call("partly").text == f"partly {part}"
    assert server.call("partly", "/end").status_code == 502
    path = bundles(server) / digest / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert server.call("partly").text == f"partly {part}"
    assert path.exists()


def test_a_bundle_that_nobody_has_any_more_fails_the_call_and_not_the_server(server: Server) -> None:
    digest = server.deploy("gone", package("gone"))["digest"]
    with sqlite3.connect(server.data_dir / "front/cellblock.db") as store:
        store.execute("DELETE FROM bundles WHERE digest = ?", (digest,))
    store.close()
    shutil.rmtree(bundles(server) / digest)
    assert_envelope(server.call("gone"), 500, "missing on the server")
    assert server.client.get(f"/spaces/{SPACE}/functions").status_code == 200
    assert server.deploy("gone", package("gone"))["version"] == 1
