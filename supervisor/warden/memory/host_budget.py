"""What all cells together may take of a host, and what one of them may have open, from what the host has.

Each function has its limits, and many functions at their limits are more than a host has.  So the group that
all cells are in has limits too: a quarter of the processes and an eighth of the memory stay the host's.  What
no group counts, signals that wait and open files, is bounded for each cell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.function_limits import MIB
from supervisor.settings.declarations import Settings
from supervisor.warden.jail.cgroup_hierarchies import Place

# For the host, the warden, the fronts and the zygotes: never less than this of memory, and of processes.
MEMORY_KEPT_LEAST = 512 * MIB
PROCESSES_KEPT_LEAST = 256
# Open files of one instance: what the default number of processes has at the ceiling of each, and no more
# than an eighth of what the whole host may have.
FILES_MOST, FILES_LEAST, FILES_SHARE = 4096 * 64, 16_384, 8
# A file that a setting or the kernel does not limit says so by a number of this size.
UNLIMITED = 1 << 62
FILES = {
    "memory": ("memory.limit_in_bytes", "memory.max"),
    "pids": ("pids.max", "pids.max"),
}


@dataclass(frozen=True)
class Host:
    """Its limits: processes and threads, open files, bytes; or those of the group that the server is in."""

    processes: int
    files: int
    memory_bytes: int


@dataclass(frozen=True)
class Sums:
    """What all cells may have together, and (``files``) the processes of one instance."""

    processes: int
    memory_bytes: int
    files: int


def _number(path: str) -> int:
    """UNLIMITED for a file that is not there, and for "max"."""
    with contextlib.suppress(OSError, ValueError):
        return min(UNLIMITED, int(Path(path).read_text().split()[0]))
    return UNLIMITED


def _memory_total() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) << 10
    return UNLIMITED


def read_host(places: Mapping[str, Place]) -> Host:
    """As it is now; ``places`` are the server's own groups (``hierarchies.own_places``)."""

    def group(controller: str) -> int:
        place = places.get(controller) or places.get("")
        return UNLIMITED if place is None else _number(f"{place.path}/{FILES[controller][place.version - 1]}")

    processes = min(_number("/proc/sys/kernel/pid_max"), _number("/proc/sys/kernel/threads-max"))
    return Host(
        min(processes, group("pids")),
        _number("/proc/sys/fs/file-max"),
        min(_memory_total(), group("memory")),
    )


def sums_of(settings: Settings, host: Host) -> Sums:
    """The settings where there are any, else so much that the host keeps its part."""
    processes = max(host.processes // 2, min(host.processes * 3 // 4, host.processes - PROCESSES_KEPT_LEAST))
    kept = max(MEMORY_KEPT_LEAST, host.memory_bytes // 8)
    memory = max(host.memory_bytes // 2, host.memory_bytes - kept)
    files = min(FILES_MOST, max(FILES_LEAST, host.files // FILES_SHARE))
    return Sums(
        settings.cells_processes or processes,
        settings.cells_memory * MIB if settings.cells_memory else memory,
        settings.instance_files or files,
    )
