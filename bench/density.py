"""How many idle instances a GiB holds: private memory of each, by process and by what it is.

An instance is pid 1 and the worker of its cell.  Shared with the zygote and counted for nobody are pages
that neither has written to.  Beside it stands a new interpreter that imports the same, which shares the
libraries' files only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.contestants import TOKEN, Cellblock, cellblock
from bench.processes import tree_of
from bench.workloads import FUNCTIONS
from supervisor.runtimes import load_runtimes
from supervisor.settings.plain_sources import load

INSTANCES = 16
CALLS_EACH = 3
# Idle instances are frozen after two seconds; by then nothing of a call moves any more.
IDLE_SECONDS = 3.0
GIB_IN_KIB = 1 << 20
# What is private: written by this process alone, or read by it alone.
PRIVATE = ("Private_Clean", "Private_Dirty")
PAGE_TABLES = "VmPTE"


@dataclass(frozen=True)
class Kind:
    """A function, the module that makes it what it is, and how many of it a GiB should hold."""

    name: str
    title: str
    source: Path
    module: str
    goal: int


KINDS = (
    Kind("plain", "no-op", FUNCTIONS / "noop.py", "json", 500),
    Kind("pandas", "pandas imported", FUNCTIONS / "pandas_sum.py", "pandas", 200),
)


@dataclass(frozen=True)
class Density:
    """Medians over the instances of a kind, KiB; ``page_tables_kib`` are the kernel's, on top."""

    kind: str
    title: str
    goal: int
    pid_1_kib: int
    worker_kib: int
    page_tables_kib: int
    interpreter_kib: int

    @property
    def per_gib(self) -> int:
        """Instances in a GiB of private memory."""
        return GIB_IN_KIB // (self.pid_1_kib + self.worker_kib)

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return {**asdict(self), "per_gib": self.per_gib}


def measure(scratch: Path) -> list[Density]:
    """Each kind on a server of its own, without blank cells, which are nobody's instances."""
    found = []
    for kind in KINDS:
        with cellblock(scratch / f"density-{kind.name}", 1, blank_cells="0") as server:
            found.append(_of(kind, server))
    return found


def _of(kind: Kind, server: Cellblock) -> Density:
    for number in range(INSTANCES):
        name = f"{kind.name}-{number}"
        server.deploy(name, kind.source, max_instances=1)
        for _ in range(CALLS_EACH):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            httpx.post(server.url_of(name), headers=headers, timeout=30.0).raise_for_status()
    time.sleep(IDLE_SECONDS)
    cells = _cells(server.pid)
    firsts = [_private_kib(pid) for pid, _ in cells]
    workers = [_private_kib(pid) for _, pid in cells]
    tables = [sum(_field(Path(f"/proc/{pid}/status"), [PAGE_TABLES]) for pid in cell) for cell in cells]
    return Density(
        kind.name,
        kind.title,
        kind.goal,
        int(median(firsts)),
        int(median(workers)),
        int(median(tables)),
        _interpreter_kib(kind.module),
    )


def _cells(server: int) -> list[tuple[int, int]]:
    """Pid 1 and worker of each cell below a server."""
    ours = os.readlink("/proc/self/ns/pid")
    inside = [pid for pid in tree_of(server) if _namespace(pid) not in (ours, "")]
    found: dict[str, list[int]] = {}
    for pid in inside:
        found.setdefault(_namespace(pid), []).append(pid)
    return [(pids[0], pids[1]) for pids in found.values() if len(pids) == 2]


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:  # it has just ended
        return ""


def _private_kib(pid: int) -> int:
    return _field(Path(f"/proc/{pid}/smaps_rollup"), PRIVATE)


def _field(path: Path, names: Iterable[str]) -> int:
    words = (line.split() for line in path.read_text().splitlines())
    return sum(int(line[1]) for line in words if line and line[0].rstrip(":") in names)


def _interpreter_kib(module: str) -> int:
    runtime = load_runtimes(load().runtimes_dir, None)[0]
    libraries = str(Path(runtime.libraries))
    code = f"import sys; sys.path.append({libraries!r}); import {module}; print(flush=True); input()"
    command = [str(runtime.python), "-I", "-S", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        kib = _private_kib(process.pid)
        process.communicate(b"\n")
    return kib


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cellblock-bench-") as folder:
        Path(folder).chmod(0o755)
        for density in measure(Path(folder)):
            print(density.as_json(), file=sys.stdout, flush=True)
