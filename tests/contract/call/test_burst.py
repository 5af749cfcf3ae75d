"""Many functions that were never called, all called at once: each is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.server import Server
from tests.support.together import together

NAMES = [f"burst-{number}" for number in range(100)]
# Each waits for its first instance, which on a busy machine takes longer than callers want to wait.
WAIT_SECONDS = 100.0
SOURCE = "def handle(req):\n    return {'body': req.body}\n"


@pytest.mark.timeout(2 * WAIT_SECONDS + 60)
def test_a_burst_of_a_hundred_new_functions_meets_no_error(make_server: Callable[..., Server]) -> None:
    server = make_server(blank_cells_most=16, queue_seconds=WAIT_SECONDS)
    server.client.timeout = 2 * WAIT_SECONDS
    together([lambda name=name: server.deploy(name, SOURCE) for name in NAMES], WAIT_SECONDS)  # type: ignore[misc]
    calls = [lambda name=name: server.call(name, content=name.encode()) for name in NAMES]  # type: ignore[misc]
    answers = together(calls, WAIT_SECONDS)
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, name) for name in NAMES]
