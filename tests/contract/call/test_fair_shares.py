"""One space that asks for everything, and another that asks for little, on a server with few cells."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import MakeServer
from tests.support.eventually import eventually
from tests.support.server import Server
from tests.support.together import together

CELLS = 6
FLOODING = 16
QUEUE_SECONDS = 8.0
SLEEPS = "import time\ndef handle(req):\n    time.sleep(0.1)\n    return {'body': 'slept'}\n"


@pytest.fixture(scope="module")
def scarce(module_server: MakeServer) -> Server:
    """A server with room for a few cells."""
    return module_server(max_cells=CELLS, blank_cells=0, queue_seconds=QUEUE_SECONDS)


def deploy(server: Server, space: str, name: str) -> None:
    source = {"code": base64.b64encode(SLEEPS.encode()).decode()}
    body = {"name": name, "template": "python3-http", "source": source}
    server.make_space(space)
    answer = server.client.post(f"/spaces/{space}/functions", json=body)
    assert answer.status_code == 201, answer.text


def call(server: Server, space: str, name: str) -> httpx.Response:
    return server.client.post(f"/spaces/{space}/functions/{name}/invoke")


@pytest.mark.promise("S80")
@pytest.mark.needs_root
def test_a_space_that_floods_the_server_does_not_keep_another_waiting(scarce: Server) -> None:
    names = [f"flood-{number}" for number in range(FLOODING)]
    together([lambda name=name: deploy(scarce, "flood", name) for name in names])  # type: ignore[misc]
    for name in ("one", "other"):
        deploy(scarce, "quiet", name)
    is_over = threading.Event()
    done: list[int] = []

    def flood(name: str) -> None:
        while not is_over.is_set():
            done.append(call(scarce, "flood", name).status_code)

    with ThreadPoolExecutor(2 * FLOODING) as threads:
        floods = [threads.submit(flood, name) for name in names * 2]
        try:
            eventually(lambda: len(done) > 2 * CELLS)  # it has every cell, and a queue behind them
            answers = []
            for _ in range(5):
                began = time.monotonic()
                for name in ("one", "other"):
                    answers.append((call(scarce, "quiet", name), time.monotonic() - began))
        finally:
            is_over.set()
        for each in floods:
            each.result(60)
    assert [answer.status_code for answer, _ in answers] == [200] * len(answers)
    assert max(seconds for _, seconds in answers) < QUEUE_SECONDS / 2, "it need not wait for all the others"
    assert done.count(200) > 2 * CELLS, "and those go on"
