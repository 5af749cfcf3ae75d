"""Freezes a cell: no process in it runs until it is thawed, whatever signals it gets.  Uses cgroup v2 only.

cgroup v2 freezes without any controller, so this also works where v2 is mounted beside v1's controllers.  The
freezer of v1 is not used: a process that it froze dies of SIGKILL only after it is thawed (measured, Linux
6.18), so frozen cells would outlive a server that was killed.

Without this freezer pid 1 stops the other processes by SIGSTOP (``worker.cell_process.SIGNALS``).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping

from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder

FILE = "cgroup.freeze"  # Linux 5.2


def base_of(places: Mapping[str, CgroupFolder], name: str) -> CgroupFolder:
    """Make the group of all cells there.

    Raises LookupError or OSError with the reason if it cannot be had.
    """
    place = places.get("")
    if place is None:
        raise LookupError("no cgroup v2 hierarchy is mounted")
    base = f"{place.path}/{name}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o755)
    if not os.path.exists(f"{base}/{FILE}"):
        with contextlib.suppress(OSError):  # it has leaves of another controller
            os.rmdir(base)
        raise LookupError("the kernel cannot freeze a group (Linux 5.2)")
    # To move a cell's process, both the group that it leaves and the one that it joins must be writable.
    for procs in (f"{base}/cgroup.procs", f"{place.path}/cgroup.procs"):
        if not os.access(procs, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), procs)
    return CgroupFolder(base, 2)


def freeze(leaf: str, is_frozen: bool) -> bool:
    """Freeze or thaw a leaf, also for processes that join later.  False if the leaf is gone."""
    try:
        descriptor = os.open(f"{leaf}/{FILE}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.write(descriptor, b"1" if is_frozen else b"0")
    finally:
        os.close(descriptor)
    return True
