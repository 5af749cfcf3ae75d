"""The resource limits of a worker, from its function's limits; hard = soft, so none can be raised again."""

import os
import resource
from typing import Sequence, Tuple

from .lockdown_state import Materials

# How much address space a function may reserve.  Reserved space costs nothing, and numpy, OpenBLAS and every
# thread reserve far more than they use; the warden judges what is used
# (``supervisor.warden.memory.cell_memory_policy``).  This limit is for the one allocation that could never
# fit: it fails at once with MemoryError, where the cell would be killed for using it.
RESERVED_TIMES = 8
RESERVED_BESIDES_BYTES = 4 << 30
PAGE_KIB = resource.getpagesize() >> 10
# Seven numbers in a line.
STATM_MAX_BYTES = 256


def reserved_bytes(memory_bytes: int) -> int:
    """The address space that a function with this memory limit may reserve."""
    return RESERVED_TIMES * memory_bytes + RESERVED_BESIDES_BYTES


def _statm() -> Sequence[int]:
    """Pages of this process: the second number is those in memory, the third of these files or shared memory,
    the sixth private writable memory.  Zeros where the process may not read that (tiers B and C).

    By descriptor: a text file would have each cell copy a dozen pages more.
    """
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return (0,) * 7
    try:
        return [int(pages) for pages in os.read(statm, STATM_MAX_BYTES).split()]
    finally:
        os.close(statm)


def file_and_own_kib() -> Tuple[int, int]:
    """The memory of this process that is files or shared memory, and the memory that is neither."""
    pages = _statm()
    return pages[2] * PAGE_KIB, (pages[1] - pages[2]) * PAGE_KIB


def private_bytes() -> int:
    """The private writable memory of this process, used or not, as RLIMIT_DATA counts it."""
    return _statm()[5] * PAGE_KIB << 10


def set_data_limit(materials: Materials) -> None:
    """Choose the limit of private memory; what the worker shares with its zygote comes on top."""
    materials.data_bytes = private_bytes() + reserved_bytes(materials.tie.memory_bytes)


def of(materials: Materials) -> Tuple[Tuple[int, int], ...]:
    """All limits of a worker but the one of open files."""
    tie = materials.tie
    return (
        # Private writable mappings.  Not RLIMIT_AS, which counts libraries and PROT_NONE too.
        (resource.RLIMIT_DATA, materials.data_bytes),
        # 1 and not 0: a core_pattern that is a pipe ignores 0 and honours 1.
        (resource.RLIMIT_CORE, 1),
        # One above the limit of the pids controller, which is to refuse first: the warden reads its count of
        # refusals.  In tier A-user pid 1 has the same user id and counts too.
        (resource.RLIMIT_NPROC, tie.processes + 1 + (materials.tier == "A-user")),
        (resource.RLIMIT_STACK, 8 << 20),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        # Queued signals: Python's own need no queue, and all cells share the host's limit for root.
        (resource.RLIMIT_SIGPENDING, 32),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
    )


def open_files(materials: Materials) -> Tuple[int, int]:
    """The limit of open files.  It is set last: below a small one the descriptors could not be sorted."""
    return resource.RLIMIT_NOFILE, materials.tie.open_files


def lower(*limits: Tuple[int, int]) -> None:
    """Set the limits, which nobody without capabilities can raise again."""
    for kind, most in limits:
        resource.setrlimit(kind, (most, most))
