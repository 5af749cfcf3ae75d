"""Rounds of everything that goes wrong leave no descriptor, process or mount behind."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.support import leaks
from tests.support.server import SPACE, Server

# More than the tolerance: what leaks once a round is seen.
ROUNDS = 6
MANY_ROUNDS = 50
TOLERANCE = 3  # a blank cell on its way in or out: its set-up socket, its pidfd, itself

SOURCES = {
    "crashes": "import os\ndef handle(req):\n    os._exit(1)\n",
    "hangs": "import time\ndef handle(req):\n    time.sleep(60)\n",
    "raises-at-import": "1 / 0\ndef handle(req):\n    return {}\n",
    "lies": "import os\ndef handle(req):\n    os.write(4, b'x' * 100)\n    return {}\n",
    "breaks-the-contract": "def handle(req):\n    return 42\n",
}
STATUS = {
    "crashes": {502}, "hangs": {504}, "lies": {502}, "breaks-the-contract": {502},
    "raises-at-import": {500, 503},  # after a few no instance is tried for a while
}  # fmt: skip


def _round(server: Server, number: int) -> None:
    for name in SOURCES:
        assert server.call(name).status_code in STATUS[name]
    syntax_error = base64.b64encode(b"def handle(req:\n").decode()
    path = f"/spaces/{SPACE}/functions"
    refused = server.client.post(path, json={"name": "never", "source": {"code": syntax_error}})
    assert refused.status_code == 422
    assert server.client.post(path, json={"name": "never", "source": {"code": "!"}}).status_code == 422
    server.deploy("changes", f"def handle(req):\n    return {{'body': '{number}'}}\n")
    assert server.call("changes").text == str(number)
    assert server.client.delete(f"{path}/changes").status_code == 204
    assert server.call("changes").status_code == 404


def _left_by(rounds: int, server: Server) -> dict[str, int]:
    """By how much more the server holds after so many rounds; with one front, which the first ones warm."""
    for name, source in SOURCES.items():
        server.deploy(name, source, timeout=0.05 if name == "hangs" else 5)
    for number in range(3):
        _round(server, number)
    baseline = leaks.counts(server.pid)
    for number in range(rounds):
        _round(server, number)
    return leaks.wait_for(server.pid, baseline, TOLERANCE)


@pytest.mark.needs_root
def test_rounds_of_mistakes_leave_nothing_behind(make_server: Callable[..., Server]) -> None:
    """Slow for its rounds: a leak is seen by its growth."""
    assert _left_by(ROUNDS, make_server(workers=1, blank_cells=2)) == {}


@pytest.mark.proof
@pytest.mark.needs_root
@pytest.mark.timeout(600)
def test_fifty_rounds_of_mistakes_leave_nothing_behind(make_server: Callable[..., Server]) -> None:
    assert _left_by(MANY_ROUNDS, make_server(workers=1, blank_cells=2)) == {}
