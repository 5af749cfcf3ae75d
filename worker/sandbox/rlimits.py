"""The limits of a process that come with its function: hard = soft, so that nothing can be raised again."""

import resource
from typing import Tuple

from .lockdown_state import Materials

# Address space that is reserved costs nothing, and numpy, OpenBLAS and every thread reserve far more than
# they touch.  What is touched is judged from outside (``supervisor.warden.memory.memory_policy``).  So much
# is only for the one allocation that could never fit: it fails at once and by name, where it would be killed
# for.
RESERVED_TIMES = 8
RESERVED_BESIDES_BYTES = 4 << 30


def reserved_bytes(memory_bytes: int) -> int:
    """What a function of so much memory may reserve."""
    return RESERVED_TIMES * memory_bytes + RESERVED_BESIDES_BYTES


def _resident_kib() -> Tuple[int, int]:
    """What of this process is in memory, and what of that is files or shared.

    0 where it may not read that (tiers B and C).
    """
    try:
        with open("/proc/self/statm") as statm:
            _, resident, shared = map(int, statm.read().split()[:3])
    except OSError:
        return 0, 0
    kib = resource.getpagesize() // 1024
    return resident * kib, shared * kib


def file_kib() -> int:
    """What of this process's memory is files, or shared."""
    return _resident_kib()[1]


def own_kib() -> int:
    """What of it is nobody else's, and no file's."""
    resident, shared = _resident_kib()
    return resident - shared


def private_bytes() -> int:
    """What this process has of private writable memory: RLIMIT_DATA counts it so, touched or not."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()


def of(materials: Materials) -> Tuple[Tuple[int, int], ...]:
    """Each limit of a cell but that of descriptors."""
    tie = materials.tie
    return (
        # Private writable mappings.  Not RLIMIT_AS, which counts libraries and PROT_NONE too.
        (resource.RLIMIT_DATA, materials.data_bytes),
        # 1 and not 0: a core_pattern that is a pipe ignores 0 and honours 1.
        (resource.RLIMIT_CORE, 1),
        # The backstop of the pids controller, one above it: that one counts who was refused, which the warden
        # hears.  An ordinary user has one id to give: pid 1 then counts too.
        (resource.RLIMIT_NPROC, tie.processes + 1 + (materials.tier == "A-user")),
        (resource.RLIMIT_STACK, 8 << 20),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        # Queued ones: what Python itself sends needs none, and all cells share what the host's root may have.
        (resource.RLIMIT_SIGPENDING, 32),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
    )


def open_files(materials: Materials) -> Tuple[int, int]:
    """That of descriptors, which comes last: under a small one they could not go out of each other's way."""
    return resource.RLIMIT_NOFILE, materials.tie.open_files


def lower(*limits: Tuple[int, int]) -> None:
    """Irreversible without capabilities."""
    for kind, most in limits:
        resource.setrlimit(kind, (most, most))
