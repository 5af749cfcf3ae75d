"""The limits of all cells together: processes, memory and open files, from what the host has.

Many functions, each within its own limits, can together use more than a host has.  So the group of all cells
has limits too: a quarter of the host's processes and an eighth of its memory stay free.  No cgroup counts
pending signals and open files, so these are limited for each cell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from supervisor.function_limits import MIB
from supervisor.settings.declarations import Settings
from supervisor.warden.jail.cgroup_hierarchies import LIMIT_FILES, CgroupFolder

# What the host, the warden, the fronts and the zygotes keep at least.
MEMORY_KEPT_LEAST = 512 * MIB
PROCESSES_KEPT_LEAST = 256
# Open files of one instance: at most 64 processes with 4096 files each, and at most an eighth of what the
# host can have, but not less than FILES_LEAST.
FILES_MOST, FILES_LEAST, FILES_SHARE = 4096 * 64, 16_384, 8
# Stands for no limit; the kernel's own files have numbers of this size then.
UNLIMITED = 1 << 62


class HostResources(NamedTuple):
    """What the host has, or the server's own group, whichever is less.  Threads count as processes."""

    processes: int
    files: int
    memory_bytes: int


class ResourceBudget(NamedTuple):
    """The limits of all cells together.  ``files`` is that of one instance, over all its processes."""

    processes: int
    memory_bytes: int
    files: int


def _number(path: str) -> int:
    """The number in a file; UNLIMITED if the file is missing or says "max"."""
    with contextlib.suppress(OSError, ValueError):
        return min(UNLIMITED, int(Path(path).read_text().split()[0]))
    return UNLIMITED


def _memory_total() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) << 10
    return UNLIMITED


def read_host(places: Mapping[str, CgroupFolder]) -> HostResources:
    """Read what the host has.  ``places`` are the server's own groups (``cgroup_hierarchies.own_places``)."""

    def group(controller: str) -> int:
        place = places.get(controller) or places.get("")
        return (
            UNLIMITED if place is None else _number(f"{place.path}/{LIMIT_FILES[controller][place.version]}")
        )

    processes = min(_number("/proc/sys/kernel/pid_max"), _number("/proc/sys/kernel/threads-max"))
    return HostResources(
        min(processes, group("pids")),
        _number("/proc/sys/fs/file-max"),
        min(_memory_total(), group("memory")),
    )


def budget_for(settings: Settings, host: HostResources) -> ResourceBudget:
    """The limits that the settings give; where they give none, all but what the host keeps."""
    processes = max(host.processes // 2, min(host.processes * 3 // 4, host.processes - PROCESSES_KEPT_LEAST))
    kept = max(MEMORY_KEPT_LEAST, host.memory_bytes // 8)
    memory = max(host.memory_bytes // 2, host.memory_bytes - kept)
    files = min(FILES_MOST, max(FILES_LEAST, host.files // FILES_SHARE))
    return ResourceBudget(
        settings.cells_processes or processes,
        settings.cells_memory * MIB if settings.cells_memory else memory,
        settings.instance_files or files,
    )
