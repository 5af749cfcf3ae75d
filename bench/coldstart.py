"""Cold starts: the first call of a function nobody has called, less a warm call of the same one."""

from __future__ import annotations

import http.client
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.contestants import TOKEN, Cellblock
from bench.workloads import FUNCTIONS
from supervisor.runtimes import load_runtimes
from supervisor.settings.plain_sources import load

SOURCES = {"plain": FUNCTIONS / "noop.py", "pandas": FUNCTIONS / "pandas_sum.py"}
WARM_CALLS = 5
CALL_SECONDS = 30.0
# Between deploy and call: the check of the deploy took a blank cell, and a server that is asked for
# the next one at once would be measured while it makes up for that.
SETTLE_SECONDS = 0.2
FRESH_PROCESSES = 5


@dataclass(frozen=True)
class ColdStart:
    """One function's first call.  ``cold_ms`` is ``first_ms`` less the median of warm calls."""

    kind: str
    cold_ms: float
    first_ms: float
    server_timing: str

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def measure(server: Cellblock, count: int) -> list[ColdStart]:
    """``count`` cold starts of each kind, in turns."""
    found = []
    for kind, source in SOURCES.items():  # zygotes start when somebody needs them
        server.deploy(f"warm-{kind}", source)
        _first_call(server, f"warm-{kind}", kind)
    for number in range(count):
        for kind, source in SOURCES.items():
            name = f"cold-{kind}-{number}"
            server.deploy(name, source)
            time.sleep(SETTLE_SECONDS)
            found.append(_first_call(server, name, kind))
    return found


def _first_call(server: Cellblock, name: str, kind: str) -> ColdStart:
    parts = urlsplit(server.url_of(name))
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)
    try:
        connection.connect()
        first_ms, timing = _call_ms(connection, parts.path)
        warm_ms = sorted(_call_ms(connection, parts.path)[0] for _ in range(WARM_CALLS))[WARM_CALLS // 2]
    finally:
        connection.close()
    return ColdStart(kind, first_ms - warm_ms, first_ms, timing)


def _call_ms(connection: http.client.HTTPConnection, path: str) -> tuple[float, str]:
    began = time.perf_counter()
    connection.request("POST", path, headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    body = answer.read()
    elapsed_ms = (time.perf_counter() - began) * 1e3
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {body[:300]!r}")
    return elapsed_ms, answer.headers["Server-Timing"]


def fresh_process_ms(module: str) -> float:
    """Median time of a new Python process that imports ``module``, with the functions' libraries."""
    runtime = load_runtimes(load().runtimes_dir, None)[0]
    code = f"import sys; sys.path.append({str(Path(runtime.libraries))!r}); import {module}"
    times = []
    for _ in range(FRESH_PROCESSES):
        began = time.perf_counter()
        subprocess.run([str(runtime.python), "-I", "-S", "-c", code], check=True)
        times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)[FRESH_PROCESSES // 2]
