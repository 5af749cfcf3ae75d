"""What the processes of a cell have in memory, one by one: for hosts without a memory cgroup.

psutil reads what a process has (10 us each here).  Two things are read beside it.  The tree: psutil goes
through all processes of the host for it, 1.1 ms where there are a hundred.  And the proportional share
without files' pages, which psutil's has in it: page cache is nobody's.

Everything is bounded, and a process that ends in between counts nothing.
"""

from __future__ import annotations

import logging
import os

from supervisor.warden.memory.memory_policy import Look

log = logging.getLogger("cellblock.memory")

# More than an operator would let a function have; a tree that is larger counts so far.
PROCESSES_MOST = 4096
READ_BYTES = 1 << 16
# Of /proc/PID/smaps_rollup: each page divided by those who share it.  So what a function's processes share
# with each other counts once, and a page of the zygote's counts next to nothing.
PROPORTIONAL = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")
# Of /proc/PID/status, for a process that may not be looked into: what is shared counts in each.
RESIDENT = (b"RssAnon:", b"RssShmem:", b"VmSwap:")


def _read(path: str) -> bytes:
    """Empty when the process has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    try:
        return os.read(descriptor, READ_BYTES)
    except ProcessLookupError:
        return b""
    finally:
        os.close(descriptor)


def blindness() -> str:
    """Why nothing can be seen here; "" where it can."""
    is_here = os.access(f"/proc/self/task/{os.getpid()}/children", os.R_OK)
    return "" if is_here else "this kernel does not tell a process's children"


def tree_of(pid: int) -> list[int]:
    """The process and all below it; orphans are below pid 1 of their cell again."""
    found, index = [pid], 0
    while index < len(found) < PROCESSES_MOST:
        task = f"/proc/{found[index]}/task"
        index += 1
        try:
            threads = os.listdir(task)
        except (FileNotFoundError, ProcessLookupError):
            continue
        for thread in threads:  # each has the children that it made itself
            found.extend(map(int, _read(f"{task}/{thread}/children").split()))
    return found[:PROCESSES_MOST]


def resident_bytes(pid: int) -> int:
    """All that is mapped and in memory, shared or not."""
    import psutil  # 20 ms, which no server should wait for that has cgroups

    try:
        found: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:  # it has ended
        return 0
    return found


def proportional_bytes(pid: int) -> int:
    """What the process takes, its part of what it shares; more than that where it may not be looked into."""
    try:
        return _sum(_read(f"/proc/{pid}/smaps_rollup"), PROPORTIONAL)
    except PermissionError:  # an ordinary user without namespaces, and a process that is not dumpable
        return _sum(_read(f"/proc/{pid}/status"), RESIDENT)


def _sum(text: bytes, names: tuple[bytes, ...]) -> int:
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(names))


def look(pid: int, suspicious_from: int) -> Look:
    """A cell by its first process; proportional bytes only from ``suspicious_from`` resident ones on.

    OSError when the host does not let this process look (EMFILE, a /proc that hides processes).
    """
    pids = tree_of(pid)
    resident = sum(map(resident_bytes, pids))
    exact = sum(map(proportional_bytes, pids)) if resident > suspicious_from else None
    return Look(resident, exact)


def look_or_none(pid: int, suspicious_from: int) -> Look | None:
    """None where it cannot be looked at now: it stays due."""
    try:
        return look(pid, suspicious_from)
    except OSError as error:
        log.warning("the memory of process %d was not looked at: %s", pid, error)
        return None
