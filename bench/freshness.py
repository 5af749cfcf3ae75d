"""``fresh``: what it costs that each call has a process of its own, beside the same function without it."""

from __future__ import annotations

import gc
import http.client
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.contestants import TOKEN, Cellblock
from bench.load import Sample, measure
from bench.workloads import FUNCTIONS, Workload
from supervisor.runtimes import load_runtimes
from supervisor.settings.plain_sources import load

TITLES = {
    "noop": "no-op",
    "pandas_sum": "pandas, a sum",
    "waits": "5 ms of waiting",
    "works": "5 ms of processor",
}
# Of latency for functions of 5 ms, in parts of the same without; of throughput for those that do little.
GOAL_MEDIAN, GOAL_P95 = 1.01, 1.05
GOAL_CALLS_PER_S = {"noop": 1500, "pandas_sum": 500}
# In turns, so many calls of each at a time: what disturbs the machine for a while disturbs both.
CALLS_IN_TURN, TURNS = 50, 10
# Time enough for the next process: what is left is what a call's own way costs.
PACE_S = 0.05
PACED_CALLS = 100
CONNECTIONS = 8
CALL_SECONDS = 30.0
FORKS = 200
# The limit: a process that has imported the same forks one, sends it a byte over a pipe and gets one back
# over another; that one exits and is waited for.
FORKING = """
import gc, os, sys, time
sys.path.append({libraries!r})
import {module}
gc.collect()
gc.freeze()
to_read, to_write = os.pipe()
from_read, from_write = os.pipe()
times = []
for _ in range({forks}):
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.write(from_write, os.read(to_read, 1))
        os._exit(0)
    os.write(to_write, b"x")
    os.read(from_read, 1)
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - began)
print(sorted(times)[{forks} // 2] * 1e3)
"""


@dataclass(frozen=True)
class Cost:
    """Of one function: milliseconds of each call by one caller, and what eight callers got through."""

    name: str
    fresh_ms: list[float]
    kept_ms: list[float]
    fresh_paced_ms: list[float]
    kept_paced_ms: list[float]
    fresh: Sample
    kept: Sample

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """All costs, and what a fork alone takes by what is imported, milliseconds."""

    costs: list[Cost]
    forks_ms: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return {"costs": [cost.as_json() for cost in self.costs], "forks_ms": self.forks_ms}


class _Caller:
    """One connection that is kept."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)

    def call_ms(self) -> float:
        """One call."""
        began = time.perf_counter()
        self._connection.request("POST", self._path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = self._connection.getresponse()
        body = answer.read()
        elapsed_ms = (time.perf_counter() - began) * 1e3
        if answer.status != 200:
            raise RuntimeError(f"{self._path} answered {answer.status}: {body[:300]!r}")
        return elapsed_ms


def measure_all(server: Cellblock, seconds: int) -> Found:
    """Each function with ``fresh`` and without, and the limit."""
    return Found([_cost(server, name, seconds) for name in TITLES], _plain_forks_ms())


def _cost(server: Cellblock, name: str, seconds: int) -> Cost:
    source = FUNCTIONS / f"{name}.py"
    endpoints = {is_fresh: f"fresh-{name.replace('_', '-')}-{is_fresh:d}" for is_fresh in (True, False)}
    callers = {}
    for is_fresh, function in endpoints.items():
        server.deploy(function, source, fresh=is_fresh)
        callers[is_fresh] = _Caller(server.url_of(function))
        for _ in range(CALLS_IN_TURN):
            callers[is_fresh].call_ms()
    times: dict[bool, list[float]] = {True: [], False: []}
    # The collector of this process is no part of anybody's latency.
    gc.disable()
    for _ in range(TURNS):
        for is_fresh, caller in callers.items():
            times[is_fresh] += [caller.call_ms() for _ in range(CALLS_IN_TURN)]
    paced: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(PACED_CALLS):
        for is_fresh, caller in callers.items():
            time.sleep(PACE_S)
            paced[is_fresh].append(caller.call_ms())
    gc.enable()
    workload = Workload(name, TITLES[name], "")
    samples = {
        is_fresh: measure(server.url_of(function), workload, CONNECTIONS, seconds, TOKEN, server.pid)
        for is_fresh, function in endpoints.items()
    }
    return Cost(name, times[True], times[False], paced[True], paced[False], samples[True], samples[False])


def _plain_forks_ms() -> dict[str, float]:
    """Median of FORKING with next to nothing imported, with what a lean worker has, and with pandas."""
    runtime = load_runtimes(load().runtimes_dir, None)[0]
    found = {}
    for module in ("json", "asyncio, werkzeug.datastructures", "pandas"):
        code = FORKING.format(libraries=str(Path(runtime.libraries)), module=module, forks=FORKS)
        done = subprocess.run(
            [str(runtime.python), "-I", "-S", "-c", code],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found[module] = float(done.stdout)
    return found


def percentile(times: list[float], percent: int) -> float:
    """The smallest value that ``percent`` of them do not exceed."""
    return sorted(times)[max(0, -(-len(times) * percent // 100) - 1)]


def markdown(found: Found) -> str:
    """The tables, and what the limit is."""
    goals = ", ".join(f"{least:,} calls/s {TITLES[name]}" for name, least in GOAL_CALLS_PER_S.items())
    lines = [
        f"**`fresh`**: one caller, a call each {PACE_S * 1e3:g} ms; the same back to back; calls/s with "
        f"{CONNECTIONS} connections. Goals: at 5 ms a median of at most {GOAL_MEDIAN:g} x and a p95 of "
        f"at most {GOAL_P95:g} x the same without; {goals}.",
        "",
        "| function | | median | without | ratio | p95 | without | ratio | calls/s | without |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cost in found.costs:
        for how, fresh_ms, kept_ms, rates in (
            ("paced", cost.fresh_paced_ms, cost.kept_paced_ms, ("", "")),
            ("back to back", cost.fresh_ms, cost.kept_ms, (_rate(cost.fresh), _rate(cost.kept))),
        ):
            cells = [TITLES[cost.name], how]
            for percent in (50, 95):
                one, other = percentile(fresh_ms, percent), percentile(kept_ms, percent)
                cells += [f"{one:.2f} ms", f"{other:.2f} ms", f"{one / other:.3f}"]
            lines.append(f"| {' | '.join([*cells, *rates])} |")
    forks = ", ".join(f"{ms:.2f} ms with {module} imported" for module, ms in found.forks_ms.items())
    limit = "a plain fork, a byte to it and one back over pipes, its exit and the wait for it, one caller"
    return "\n".join([*lines, "", f"The limit, {limit}: {forks}."])


def _rate(sample: Sample) -> str:
    return f"{sample.requests_per_s:.0f}"
