"""What a front has cost its machine so far: processor time and memory, as the kernel counts them."""

from __future__ import annotations

import gc
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
NANOSECONDS = 1_000_000_000


def cpu_seconds(pid: int) -> float:
    """Processor time of all its threads."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def loop_seconds(pid: int) -> float:
    """Processor time of its first thread, in which its event loop turns, to the nanosecond."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / NANOSECONDS


def memory_kib(pid: int) -> int:
    """Its own memory: what it has touched and shares with nobody."""
    gc.collect()  # of ours: what a test has dropped shall not weigh on a small machine meanwhile
    found = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Dirty:", "Private_Clean:")):
            found += int(line.split()[1])
    return found
