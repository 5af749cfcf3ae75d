"""What the processes of a cell have in memory, read out of ``/proc``: for hosts without a memory cgroup.

psutil would read the same files, one object a process; here it is three reads.  Everything is bounded, and
a process that ends in between counts nothing.
"""

from __future__ import annotations

import os

from supervisor.warden.memory import Look

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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


def is_here() -> bool:
    """Whether this kernel tells a process's children (CONFIG_PROC_CHILDREN)."""
    return os.access(f"/proc/self/task/{os.getpid()}/children", os.R_OK)


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
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * PAGE_BYTES if words else 0


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
