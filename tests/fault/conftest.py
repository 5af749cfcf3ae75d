"""Servers for faults: small ones, with one runtime, and the check that one is what it was before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.patience import FACTOR
from tests.support.processes import fronts_of, zygotes_of
from tests.support.server import SPACE, TOKEN, Server

HELLO = "def handle(req):\n    return {'body': 'hello'}\n"
SMALL: dict[str, Any] = {"preload": "[]", "blank_cells": 1, "queue_seconds": 3 * FACTOR}

KEEPALIVE_SECONDS = 60.0

MakeSmall = Callable[..., contextlib.AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory, one_runtime: Path) -> MakeSmall:
    """``with small_server(**settings) as server``: stopped at the end, by its own means."""

    @contextlib.contextmanager
    def make(folder: Path | None = None, **settings: Any) -> Iterator[Server]:
        data_dir = (folder or tmp_path_factory.mktemp("small")) / "data"
        running = Server(data_dir, **{"runtimes_dir": one_runtime, **SMALL, **settings})
        try:
            yield running
        except BaseException:
            running.process.kill()
            raise
        finally:
            code = running.stop()
        assert code == 0, running.log

    return make


def client_of(server: Server, seconds: float = 30.0) -> httpx.Client:
    """A client of one's own, whose connections nobody else uses."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    # Kept while a test looks at what a server holds, which takes a while on a busy machine.
    limits = httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
    return httpx.Client(base_url=server.url, headers=headers, timeout=seconds, limits=limits)


def is_answered(server: Server, name: str = "hello", body: str = "hello", seconds: float = 30.0) -> bool:
    """Whether a call on a new connection gets the right answer."""
    try:
        with client_of(server, seconds) as client:
            answer = client.post(f"/spaces/{SPACE}/functions/{name}/invoke")
    except httpx.HTTPError:
        return False
    return (answer.status_code, answer.text) == (200, body)


def recovers(server: Server, fronts: int = 2) -> None:
    """All processes are there again, every call is right, and a deploy is possible from upload to answer."""
    eventually(lambda: len(fronts_of(server.pid)) == fronts, "a front is missing")
    eventually(lambda: zygotes_of(server.pid), "the zygote is missing")
    eventually(lambda: is_answered(server), "calls are not answered")
    for _ in range(4 * fronts):  # whichever front takes the connection
        assert is_answered(server)
    server.client.close()  # its connections may have ended with a front
    server.client = client_of(server, 60.0)
    server.deploy("after", HELLO.replace("hello", "after"))
    assert is_answered(server, "after", "after")
    assert server.client.delete(f"/spaces/{SPACE}/functions/after").status_code == 204
