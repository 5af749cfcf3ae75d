"""Many customers on one server: what a warm call costs beside a server with one customer.

One server has a thousand functions in a hundred spaces, each space called with a key of its own.  The other
has one space, called with the administrator's token.  Both have four fronts.

Calls of a hundred functions in turn find no instance in the processor's caches, whoever owns the functions.
So the hundred spaces in turn are set beside a hundred functions of one space in turn, and one function of
one space beside one function of one of the hundred spaces.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.contestants import TOKEN, Cellblock, StartError, cellblock
from bench.processes import tree_of
from bench.workloads import FUNCTIONS

SPACES, FUNCTIONS_EACH, FRONTS = 100, 10, 4
# Each front may have an instance of each function that is called.
CELLS = 512
SCRIPT = Path(__file__).with_name("wrk_many.lua")
DEPLOYS_AT_ONCE = 8
CONNECTIONS = (1, 4)
GOAL = 0.05
PRIVATE = ("Private_Clean", "Private_Dirty")
SLACK_SECONDS = 30.0
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """One thing that is called: its path below the server, and the token for it."""

    path: str
    token: str


@dataclass(frozen=True)
class Tenants:
    """Medians in microseconds, one a round: of one space's functions, and of a hundred spaces'.

    ``single`` is one function called again and again, ``turns`` a hundred functions called in turn.
    """

    connections: int
    single_of_one_us: list[int]
    single_of_many_us: list[int]
    turns_of_one_us: list[int]
    turns_of_many_us: list[int]

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """``fronts_kib`` is the median front's private memory, with one space and with a hundred.

    ``start_seconds`` is from the command to "ready", of a server that has those spaces already.
    """

    calls: list[Tenants]
    fronts_kib: tuple[int, int]
    start_seconds: tuple[float, float]


def measure(scratch: Path, rounds: int, seconds: int) -> Found:
    """Both servers at once, called in turns."""
    source = FUNCTIONS / "noop.py"
    settings = {"max_cells": str(CELLS)}
    with (
        cellblock(scratch / "one", FRONTS, **settings) as one,
        cellblock(scratch / "many", FRONTS, **settings) as many,
    ):
        with httpx.Client(base_url=one.url, headers=_bearer(TOKEN), timeout=ANSWER_SECONDS) as client:
            of_one = [_deploy(client, "default", f"f{number}", source, TOKEN) for number in range(SPACES)]
        of_many = _fill(many, source)
        kinds = ((one, of_one[:1]), (many, of_many[:1]), (one, of_one), (many, of_many))
        calls = [_in_turns(kinds, count, rounds, seconds) for count in CONNECTIONS]
        fronts_kib = (_front_kib(one), _front_kib(many))
    return Found(calls, fronts_kib, (_start_seconds(scratch / "one"), _start_seconds(scratch / "many")))


def _start_seconds(data_dir: Path) -> float:
    started = time.monotonic()
    with cellblock(data_dir, FRONTS, max_cells=str(CELLS)):
        return time.monotonic() - started


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _fill(server: Cellblock, source: Path) -> list[Target]:
    """Spaces with functions and a key each; the first function of each space, to be called."""
    found = []
    with (
        httpx.Client(base_url=server.url, headers=_bearer(TOKEN), timeout=ANSWER_SECONDS) as client,
        ThreadPoolExecutor(DEPLOYS_AT_ONCE) as threads,
    ):
        for number in range(SPACES):
            space = f"space-{number}"
            _post(client, "/spaces", {"name": space, "title": ""})
            key = _post(client, f"/spaces/{space}/keys", {"name": "bench", "scopes": ["function.invoke"]})[
                "key"
            ]
            deploys = [
                threads.submit(_deploy, client, space, f"f{index}", source, key)
                for index in range(FUNCTIONS_EACH)
            ]
            targets = [one.result() for one in deploys]
            found.append(targets[0])
    return found


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    if answer.status_code != 201:
        raise StartError(f"POST {path}: {answer.status_code} {answer.text[:300]}")
    return dict(answer.json())


def _deploy(client: httpx.Client, space: str, name: str, source: Path, token: str) -> Target:
    code = base64.b64encode(source.read_bytes()).decode()
    _post(client, f"/spaces/{space}/functions", {"name": name, "source": {"code": code}})
    return Target(f"/spaces/{space}/functions/{name}/invoke", token)


def _in_turns(
    kinds: Sequence[tuple[Cellblock, Sequence[Target]]], connections: int, rounds: int, seconds: int
) -> Tenants:
    for server, called in kinds:  # until each front has its instances
        _wrk(server, called, connections, seconds)
    found: list[list[int]] = [[] for _ in kinds]
    for _ in range(rounds):
        for samples, (server, called) in zip(found, kinds, strict=True):
            samples.append(_wrk(server, called, connections, seconds))
    return Tenants(connections, *found)


def _wrk(server: Cellblock, targets: Sequence[Target], connections: int, seconds: int) -> int:
    """The median latency, microseconds, of calls of the targets in turn."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.writelines(f"{target.path} {target.token}\n" for target in targets)
        listed.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), server.url],
            env={**os.environ, "BENCH_TARGETS": listed.name},
            capture_output=True,
            text=True,
            timeout=seconds + SLACK_SECONDS,
            check=True,
        )
    seen = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    if seen["bad"] or not seen["requests"]:
        raise StartError(f"{seen['bad']} of {seen['requests']} calls were not answered with 200")
    return int(seen["p50_us"])


def _front_kib(server: Cellblock) -> int:
    """The median private memory of a front."""
    time.sleep(1.0)
    # The first is gunicorn's arbiter, whose children the fronts are.
    _, *fronts = [
        pid
        for pid in tree_of(server.pid)
        if b"supervisor.front.server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    if len(fronts) != FRONTS:
        raise StartError(f"{len(fronts)} fronts were found, not {FRONTS}")
    return int(median(_private_kib(pid) for pid in fronts))


def _private_kib(pid: int) -> int:
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    return sum(int(row[1]) for row in rows if row[0].rstrip(":") in PRIVATE)


def markdown(found: Found) -> str:
    """The tables."""
    lines = [
        f"**Many customers** ({SPACES} spaces with {FUNCTIONS_EACH} functions each, called with a key of "
        f"each space, beside one space with {SPACES} functions, called with the administrator's token; "
        f"{FRONTS} fronts; p50, median of the rounds)",
        "",
        "| connections | calls of | one space | a hundred spaces | ratio |",
        "|---|---|---|---|---|",
    ]
    for each in found.calls:
        lines.append(_row(each.connections, "one function", each.single_of_one_us, each.single_of_many_us))
        lines.append(_row(each.connections, "a hundred in turn", each.turns_of_one_us, each.turns_of_many_us))
    one, many = (kib / 1024 for kib in found.fronts_kib)
    lines += [
        "",
        f"A front's private memory: {one:.1f} MiB with one space, {many:.1f} MiB with a hundred.  A start: "
        "{:.2f} s and {:.2f} s.".format(*found.start_seconds),
    ]
    return "\n".join(lines)


def _row(connections: int, called: str, one_us: list[int], many_us: list[int]) -> str:
    ratio = median(many / one for one, many in zip(one_us, many_us, strict=True))
    return f"| {connections} | {called} | {median(one_us):.0f} µs | {median(many_us):.0f} µs | {ratio:.2f} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cellblock-bench-") as folder:
        Path(folder).chmod(0o755)
        print(markdown(measure(Path(folder), rounds=5, seconds=3)))
