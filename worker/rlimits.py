"""The limits of a process that come with its function: hard = soft, so that nothing can be raised again."""

import resource
from typing import Tuple

from worker.materials import Materials


def private_bytes() -> int:
    """What this process has of private writable memory: RLIMIT_DATA counts it so, touched or not."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()


def of(materials: Materials) -> Tuple[Tuple[int, int], ...]:
    """Each limit of a cell but that of descriptors."""
    tie = materials.tie
    return (
        # Python raises MemoryError at this one; the cgroup kills at a little more.
        (resource.RLIMIT_DATA, materials.data_bytes),
        # 1 and not 0: a core_pattern that is a pipe ignores 0 and honours 1.
        (resource.RLIMIT_CORE, 1),
        # The backstop of the pids controller.  An ordinary user has one id to give: pid 1 then counts too.
        (resource.RLIMIT_NPROC, tie.processes + (materials.tier == "A-user")),
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
