"""A server whose functions write what they are told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server

# Writes its body, a line each to stderr; ``/many/N`` writes N numbered lines of a size given by the query.
TALK = """
import sys
def handle(req):
    if req.path.startswith("/many/"):
        size = int(req.query.get("size", "0"))
        for number in range(int(req.path.rpartition("/")[2])):
            sys.stderr.write((req.query.get("mark", "") + str(number)).ljust(size, ".") + "\\n")
    elif req.body:
        sys.stderr.write(req.body.decode() + "\\n")
    return {}
"""


@pytest.fixture(scope="package")
def talking(tmp_path_factory: pytest.TempPathFactory, one_runtime: Path) -> Iterator[Server]:
    """Two fronts."""
    running = Server(
        tmp_path_factory.mktemp("talking") / "data",
        runtimes_dir=one_runtime,
        preload="[]",
        function_logs=False,
    )
    running.deploy("talk", TALK, log_bytes=16 << 20, log_lines=100_000)
    yield running
    assert running.stop() == 0, running.log
