"""The resource limits of a worker, from its function's limits; hard = soft, so none can be raised again."""

import resource
from typing import Tuple

from .lockdown_state import Materials

# How much address space a function may reserve.  Reserved space costs nothing, and numpy, OpenBLAS and every
# thread reserve far more than they use; the warden judges what is used
# (``supervisor.warden.memory.memory_policy``).  This limit is for the one allocation that could never fit: it
# fails at once with MemoryError, where the cell would be killed for using it.
RESERVED_TIMES = 8
RESERVED_BESIDES_BYTES = 4 << 30


def reserved_bytes(memory_bytes: int) -> int:
    """The address space that a function with this memory limit may reserve."""
    return RESERVED_TIMES * memory_bytes + RESERVED_BESIDES_BYTES


def _resident_kib() -> Tuple[int, int]:
    """How much of this process is in memory, and how much of that is files or shared memory.

    0 where the process may not read that (tiers B and C).
    """
    try:
        with open("/proc/self/statm") as statm:
            _, resident, shared = map(int, statm.read().split()[:3])
    except OSError:
        return 0, 0
    kib = resource.getpagesize() // 1024
    return resident * kib, shared * kib


def file_kib() -> int:
    """The memory of this process that is files or shared memory."""
    return _resident_kib()[1]


def own_kib() -> int:
    """The memory of this process that is neither shared nor a file."""
    resident, shared = _resident_kib()
    return resident - shared


def private_bytes() -> int:
    """The private writable memory of this process, used or not, as RLIMIT_DATA counts it."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()


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
