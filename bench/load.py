"""One measurement: wrk against one server, and what the processors did meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import processes
from bench.workloads import Workload

SCRIPT = Path(__file__).with_name("wrk.lua")
# Beyond the time a round is asked to take: wrk waits for nothing, so this only catches a hang.
SLACK_SECONDS = 30.0
# wrk's own; a request that takes longer is an error, not a slow answer.
TIMEOUT_SECONDS = 5
# Others' share of the cores above which a measurement is called disturbed and tried again.
DISTURBED = 0.05
TRIES = 2


ERRORS = ("bad_status", "connect", "read", "write", "timeout")


class LoadError(Exception):
    """A measurement that does not count; the message says why."""


@dataclass(frozen=True)
class Sample:
    """What one round of wrk saw.

    ``server_cpu_us`` is what all the server's processes used, by request.  ``others`` is the share of
    the machine's cores that neither the server nor wrk used.
    """

    requests_per_s: float
    p50_us: int
    p99_us: int
    max_us: int
    server_cpu_us: float
    others: float

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def measure(url: str, workload: Workload, connections: int, seconds: int, token: str, pid: int) -> Sample:
    """Keep ``connections`` busy for ``seconds``; again, a few times, while somebody else is busy too.

    The least disturbed try counts.  LoadError when one answer was not a good one.
    """
    best: Sample | None = None
    for _ in range(TRIES):
        sample = _measure_once(url, workload, connections, seconds, token, pid)
        if best is None or sample.others < best.others:
            best = sample
        if best.others <= DISTURBED:
            break
    assert best is not None
    return best


def _measure_once(
    url: str, workload: Workload, connections: int, seconds: int, token: str, pid: int
) -> Sample:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s"]
    environment = {**os.environ, "BENCH_BODY": workload.body, "BENCH_AUTHORIZATION": f"Bearer {token}"}
    server_before = processes.tree_cpu_s(pid)
    busy_before, ours_before = processes.machine_busy_s(), _children_cpu_s()
    done = subprocess.run(
        [*command, "-s", str(SCRIPT), url],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds + SLACK_SECONDS,
    )
    busy_s = processes.machine_busy_s() - busy_before
    server_s = sum(
        after - server_before.get(process, 0.0) for process, after in processes.tree_cpu_s(pid).items()
    )
    others_s = busy_s - server_s - (_children_cpu_s() - ours_before)
    if done.returncode != 0:
        raise LoadError(f"wrk against {url} failed: {done.stderr.strip() or done.stdout.strip()}")
    return _sample(url, json.loads(done.stdout.rstrip().rpartition("\n")[2]), server_s, others_s)


def _sample(url: str, seen: dict[str, int], server_s: float, others_s: float) -> Sample:
    errors = {
        name: seen[name] for name in ("bad_status", "connect", "read", "write", "timeout") if seen[name]
    }
    if errors or not seen["requests"]:
        raise LoadError(f"{url}: {seen['requests']} requests, and not all were good: {errors}")
    seconds = seen["duration_us"] / 1e6
    return Sample(
        seen["requests"] / seconds,
        seen["p50_us"],
        seen["p99_us"],
        seen["max_us"],
        server_s / seen["requests"] * 1e6,
        max(0.0, others_s / seconds / (os.cpu_count() or 1)),
    )


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
