"""Many functions that were never called, all called at once: each is answered."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.server import Server
from tests.support.together import together

NAMES = [f"burst-{number}" for number in range(100)]
SOURCE = "def handle(req):\n    return {'body': req.body}\n"


def test_a_burst_of_a_hundred_new_functions_meets_no_error(make_server: Callable[..., Server]) -> None:
    server = make_server(preload="[]", blank_cells_most=16)
    together([lambda name=name: server.deploy(name, SOURCE) for name in NAMES])  # type: ignore[misc]
    answers = together(
        [lambda name=name: server.call(name, content=name.encode()) for name in NAMES]  # type: ignore[misc]
    )
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, name) for name in NAMES]
