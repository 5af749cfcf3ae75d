"""Processor time, as /proc tells it: of a server's whole tree, and of the machine."""

from __future__ import annotations

import os
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tree_of(pid: int) -> list[int]:
    """A process and all below it, parents first."""
    found = [pid]
    for parent in found:
        try:
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found.extend(int(child) for child in children.read_text().split())
        except OSError:  # it ended while we looked
            continue
    return found


def cpu_s(pid: int) -> float:
    """User and system time of one process so far, seconds; 0.0 when it is gone."""
    try:
        # The name, in parentheses, may hold anything; the fields after it are numbers.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def tree_cpu_s(pid: int) -> dict[int, float]:
    """``cpu_s`` of each process of a tree."""
    return {each: cpu_s(each) for each in tree_of(pid)}


def machine_busy_s() -> float:
    """Time that all cores together have not been idle, seconds; stolen time counts."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) * TICK_S
