"""First calls as they come in a day: right after a deploy, and of a hundred functions at once.

One connection each, plain sockets, nothing imported in between: what the client costs is its own affair.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.contestants import SPACE, TOKEN, Cellblock
from bench.workloads import FUNCTIONS

DEPLOY_GOAL_MS = 50.0
BURST = 100
CALL_SECONDS = 60.0
# What a deploy and its call have taken of the spare cells is there again.
SETTLE_SECONDS = 0.3


@dataclass(frozen=True)
class FirstCalls:
    """Milliseconds: from the deploy's request to the first answer, and of each call of a burst."""

    deploys_ms: list[float]
    burst_ms: list[float]
    burst_failed: int

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def measure(server: Cellblock, count: int) -> FirstCalls:
    """``count`` deploys with a call each, then the burst."""
    source = FUNCTIONS / "noop.py"
    _ask(server, "first-of-all", source)  # the API is imported when somebody first asks for it
    deploys = []
    for number in range(count):
        time.sleep(SETTLE_SECONDS)
        began = time.perf_counter()
        _ask(server, f"deployed-{number}", source)
        if (status := _call(server, f"deployed-{number}")) != 200:
            raise RuntimeError(f"the first call of deployed-{number} was answered {status}")
        deploys.append((time.perf_counter() - began) * 1e3)
    return FirstCalls(deploys, *_burst(server, source))


def _burst(server: Cellblock, source: Path) -> tuple[list[float], int]:
    for number in range(BURST):
        _ask(server, f"burst-{number}", source)
    time.sleep(SETTLE_SECONDS)
    found: list[tuple[int, float]] = []

    def one(number: int) -> None:
        began = time.perf_counter()
        status = _call(server, f"burst-{number}")
        found.append((status, (time.perf_counter() - began) * 1e3))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(BURST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [elapsed_ms for status, elapsed_ms in found if status == 200]
    return times, BURST - len(times)


def _ask(server: Cellblock, name: str, source: Path) -> None:
    code = base64.b64encode(source.read_bytes()).decode()
    body = {"name": name, "template": "python3-http", "source": {"code": code}}
    status, answer = _send(f"{server.url}/spaces/{SPACE}/functions", json.dumps(body).encode())
    if status != 201:
        raise RuntimeError(f"the deploy of {name} was answered {status}: {answer[:300]!r}")


def _call(server: Cellblock, name: str) -> int:
    return _send(server.url_of(name), b"")[0]


def _send(url: str, body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    try:
        connection.request("POST", parts.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
