"""The cgroup hierarchies of the host: the server's own group in each, and the group of all its cells."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

READ_BYTES = 4096
# On v2 a group with processes cannot hand controllers down, so the server moves into this leaf.
INNER = "server"
# The file of a controller's hard limit, by the version of its hierarchy.
LIMIT_FILES = {
    "memory": {1: "memory.limit_in_bytes", 2: "memory.max"},
    "pids": {1: "pids.max", 2: "pids.max"},
}


class CgroupFolder(NamedTuple):
    """A group in one hierarchy, by its folder; ``version`` is 1 or 2."""

    path: str
    version: int


def own_places(groups: str, mounts: str) -> dict[str, CgroupFolder]:
    """Controller → this process's group.  The arguments are the texts of /proc/self/cgroup and mountinfo.

    The key "" is the unified hierarchy (v2).  Its controllers are not in these texts.
    """
    mounted: dict[str, tuple[str, str, int]] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind_fields = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind_fields) < 3:
            continue
        root, point = fields[3], fields[4]
        if kind_fields[0] == "cgroup2":
            mounted[""] = (root, point, 2)
        elif kind_fields[0] == "cgroup":
            for name in kind_fields[2].split(","):
                mounted[name] = (root, point, 1)
    places = {}
    for line in groups.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name not in mounted:
                continue
            root, point, version = mounted[name]
            # In a container the mount shows only part of the hierarchy: a group above it has no path here.
            inside = root.rstrip("/")
            if path in (root, inside):
                places[name] = CgroupFolder(point, version)
            elif path.startswith(inside + "/"):
                places[name] = CgroupFolder(point + path[len(inside) :], version)
    return places


def read_own_places() -> dict[str, CgroupFolder]:
    """Controller → this process's group now."""
    with open("/proc/self/cgroup") as groups, open("/proc/self/mountinfo") as mounts:
        return own_places(groups.read(), mounts.read())


def write(path: str, text: str) -> None:
    """Write one file of a group.  Raises OSError."""
    # Not Path.write_text, which would pass O_TRUNC and O_CREAT to the kernel's file system.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read(path: str) -> bytes:
    """The first READ_BYTES of a file.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, READ_BYTES)
    finally:
        os.close(descriptor)


def own_procs_file(place: CgroupFolder) -> str:
    """The ``cgroup.procs`` file that lists this process, which may have moved to INNER."""
    inner = f"{place.path}/{INNER}/cgroup.procs"
    has_moved = os.path.exists(inner) and str(os.getpid()).encode() in read(inner).split()
    return inner if has_moved else f"{place.path}/cgroup.procs"


def base_v1(place: CgroupFolder, name: str) -> CgroupFolder:
    """Make the group of all cells in a v1 hierarchy.  Raises OSError."""
    base = f"{place.path}/{name}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o755)
    if not os.access(base, os.W_OK):  # left by another user's server with this data directory
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), base)
    return CgroupFolder(base, 1)


def base_v2(place: CgroupFolder, name: str, controller: str, own_pids: Sequence[int]) -> CgroupFolder:
    """Make the group of all cells in the unified hierarchy, with ``controller`` enabled for its leaves.

    Raises LookupError with a reason if the controller cannot be had, or OSError.
    """
    own = place.path
    if controller not in Path(f"{own}/cgroup.controllers").read_text().split():
        raise LookupError(f"the controller is not available in {own}: it needs a delegated group")
    base = f"{own}/{name}"
    if controller not in Path(f"{own}/cgroup.subtree_control").read_text().split():
        _move_to_inner(own, {os.getpid(), *own_pids})
        write(f"{own}/cgroup.subtree_control", f"+{controller}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o755)
    write(f"{base}/cgroup.subtree_control", f"+{controller}")
    return CgroupFolder(base, 2)


def _move_to_inner(own: str, own_pids: set[int]) -> None:
    """Move the server into a leaf of its own, so that its group can hand controllers down."""
    if not os.path.exists(f"{own}/cgroup.type"):
        # This is the root of the hierarchy: what it hands down is the host's decision.
        raise LookupError(f"{own} hands the controller to nobody: it needs a delegated group")
    members = set(map(int, Path(f"{own}/cgroup.procs").read_text().split()))
    if members - own_pids:
        raise LookupError(f"{own} has other processes than this server: it needs a group of its own")
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{own}/{INNER}", 0o755)
    for pid in members:
        write(f"{own}/{INNER}/cgroup.procs", str(pid))
