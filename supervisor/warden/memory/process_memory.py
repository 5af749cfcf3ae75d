"""Reads the memory of a cell process by process, for hosts without a memory cgroup.

psutil reads a process's resident memory (10 us each here).  Two things are read from /proc directly.  The
tree of processes: psutil would go through all processes of the host (1.1 ms for a hundred).  And the
proportional share: psutil's includes pages of files, and page cache counts for no cell.

Every read is bounded.  A process that ends meanwhile counts as nothing.
"""

from __future__ import annotations

import logging
import os

from supervisor.warden.memory.cell_memory_policy import ProcessMemory

log = logging.getLogger("cellblock.memory")

# More than any function may have.  Of a larger tree only these count.
TREE_PROCESSES_MOST = 4096
READ_BYTES = 1 << 16
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/smaps_rollup that divide each page by the number of processes that share it.  So a page
# that a function's processes share counts once, and one that all cells share with the zygote hardly counts.
PROPORTIONAL = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")
# Fields of /proc/PID/status, for a process whose smaps_rollup we may not read.  Shared pages count in each
# process.
RESIDENT = (b"RssAnon:", b"RssShmem:", b"VmSwap:")


def _read(path: str) -> bytes:
    """The content of a file of /proc; empty if the process has ended."""
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


def server_process_bytes(pid: int) -> int:
    """The resident memory of a process of ours, of this one with 0; 0 for one that has ended."""
    if pid < 0:
        return 0
    fields = _read(f"/proc/{pid or 'self'}/statm").split()
    return int(fields[1]) * PAGE_BYTES if fields else 0


def blindness() -> str:
    """Why processes cannot be read here; "" if they can."""
    is_here = os.access(f"/proc/self/task/{os.getpid()}/children", os.R_OK)
    return "" if is_here else "this kernel does not tell a process's children"


def tree_of(pid: int) -> list[int]:
    """The process and all its descendants.

    Orphans are children of their cell's pid 1, so they are found too.
    """
    found, index = [pid], 0
    while index < len(found) < TREE_PROCESSES_MOST:
        task = f"/proc/{found[index]}/task"
        index += 1
        try:
            threads = os.listdir(task)
        except (FileNotFoundError, ProcessLookupError):
            continue
        for thread in threads:  # the kernel lists children by the thread that made them
            found.extend(map(int, _read(f"{task}/{thread}/children").split()))
    return found[:TREE_PROCESSES_MOST]


def resident_bytes(pid: int) -> int:
    """All resident memory of a process, shared or not."""
    import psutil  # takes 20 ms, and servers with cgroups never need it

    try:
        found: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:  # it has ended
        return 0
    return found


def proportional_bytes(pid: int) -> int:
    """A process's memory, with its share of shared pages; more if smaps_rollup may not be read."""
    try:
        return _sum(_read(f"/proc/{pid}/smaps_rollup"), PROPORTIONAL)
    except PermissionError:  # we are an ordinary user, and the process is not dumpable
        return _sum(_read(f"/proc/{pid}/status"), RESIDENT)


def _sum(text: bytes, names: tuple[bytes, ...]) -> int:
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(names))


def look(pid: int, suspicious_from: int) -> ProcessMemory:
    """The memory of the cell whose pid 1 is ``pid``.

    Proportional bytes are read only above ``suspicious_from``.  Raises OSError if the processes cannot be
    read (EMFILE, a /proc that hides processes).
    """
    pids = tree_of(pid)
    resident = sum(map(resident_bytes, pids))
    exact = sum(map(proportional_bytes, pids)) if resident > suspicious_from else None
    return ProcessMemory(resident, exact)


def look_or_none(pid: int, suspicious_from: int) -> ProcessMemory | None:
    """``look``, or None if the processes cannot be read now."""
    try:
        return look(pid, suspicious_from)
    except OSError as error:
        log.warning("the memory of process %d was not looked at: %s", pid, error)
        return None
