"""What a sandbox costs: a cell with every layer on, beside bubblewrap and gVisor around an interpreter.

A cell is timed from "the warden asks" to "its lock-down is proven" (grown, then tied), a peer from its
start to its end around ``python -c pass``: that gives an interpreter which has imported nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.contestants import cellblock
from bench.workloads import FUNCTIONS
from supervisor.runtimes import load_runtimes
from supervisor.settings.plain_sources import load

GOAL_MS = 12.0
PEER_SECONDS = 30.0
WARM_UP = 3
# A gVisor takes ten times as long as the others: fewer of them.
FEWER = 4
# From one cell to the next: each is grown alone.
QUIET_SECONDS = 0.3

GROWN = "a cell, grown: namespaces, cgroup, ids, mounts"
TIED = "a cell, tied and proven: limits, ids, capabilities, Landlock, seccomp, self-test"
_LINE = re.compile(r"cell \w+ was (grown|tied) in ([\d.]+) ms")
_BUBBLEWRAP = (
    "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
    "--tmpfs", "/tmp", "--cap-drop", "ALL", "--new-session",
)  # fmt: skip


@dataclass(frozen=True)
class SandboxCost:
    """Milliseconds, one sample each."""

    who: str
    samples_ms: list[float]

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def of_cells(scratch: Path, count: int) -> list[SandboxCost]:
    """Cells made one at a time by a server that does nothing else, as its log at level debug tells."""
    with cellblock(scratch / "cells", 1, log_level="debug", blank_cells="1", blank_cells_most="1") as server:
        for number in range(count + WARM_UP):
            # Its check takes the only blank cell, and the next one is grown.
            server.deploy(f"cell-{number}", FUNCTIONS / "noop.py")
            time.sleep(QUIET_SECONDS)
        return _from_log(server.log)


def _from_log(log: Path) -> list[SandboxCost]:
    found: dict[str, list[float]] = {"grown": [], "tied": []}
    for what, milliseconds in _LINE.findall(log.read_text()):
        found[what].append(float(milliseconds))
    # The first ones were made while the server itself was starting.
    return [SandboxCost(GROWN, found["grown"][WARM_UP:]), SandboxCost(TIED, found["tied"][WARM_UP:])]


def of_peers(count: int) -> list[SandboxCost]:
    """The functions' interpreter alone, and in each sandbox that is installed here."""
    alone = [str(load_runtimes(load().runtimes_dir, None)[0].python), "-I", "-S", "-c", "pass"]
    costs = [SandboxCost("a fresh interpreter without any sandbox", _times(alone, count))]
    if bubblewrap := shutil.which("bwrap"):
        times = _times([bubblewrap, *_BUBBLEWRAP, *alone], count)
        costs.append(SandboxCost("bubblewrap (no seccomp, no cgroup) + a fresh interpreter", times))
    if gvisor := shutil.which("runsc"):
        try:
            times = _times([gvisor, "--rootless", "--network=none", "do", *alone], max(1, count // FEWER))
        except subprocess.SubprocessError:
            return costs  # installed, and cannot run on this kernel
        costs.append(SandboxCost("gVisor (runsc do) + a fresh interpreter", times))
    return costs


def _times(command: list[str], count: int) -> list[float]:
    found = []
    for number in range(count + WARM_UP):
        began = time.perf_counter()
        subprocess.run(
            command, check=True, timeout=PEER_SECONDS, stdin=subprocess.DEVNULL, capture_output=True
        )
        if number >= WARM_UP:
            found.append((time.perf_counter() - began) * 1e3)
    return found
