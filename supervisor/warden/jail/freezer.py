"""Nothing of a cell runs, whoever signals whom in it: the freezer of the unified cgroup hierarchy.

It needs no controller, so it works where that hierarchy is mounted beside v1's controllers too, and none of
them is delegated to it.  v1's own freezer is none for us: what it holds does not die of SIGKILL before it is
thawed (measured, Linux 6.18), so that frozen cells would outlive a server that was killed.

Where it cannot be had pid 1 stops the others by SIGSTOP (``worker.cell_process.SIGNALS``).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping

from supervisor.warden.jail.cgroup_hierarchies import Place

FILE = "cgroup.freeze"  # Linux 5.2


def base_of(places: Mapping[str, Place], name: str) -> Place:
    """Our group there, made if it is not.  LookupError or OSError says why there is none."""
    place = places.get("")
    if place is None:
        raise LookupError("no cgroup v2 hierarchy is mounted")
    base = f"{place.path}/{name}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o755)
    if not os.path.exists(f"{base}/{FILE}"):
        with contextlib.suppress(OSError):  # another controller's leaves are in it
            os.rmdir(base)
        raise LookupError("the kernel cannot freeze a group (Linux 5.2)")
    # A process that joins comes from the server's own group.
    for procs in (f"{base}/cgroup.procs", f"{place.path}/cgroup.procs"):
        if not os.access(procs, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), procs)
    return Place(base, 2)


def freeze(leaf: str, is_frozen: bool) -> bool:
    """All that is in it, or may come into it; False where there is no leaf any more."""
    try:
        descriptor = os.open(f"{leaf}/{FILE}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.write(descriptor, b"1" if is_frozen else b"0")
    finally:
        os.close(descriptor)
    return True
