"""Where the server may make groups: its own place in each hierarchy, and its one group there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 4096
# Where the server itself goes on v2: a group with processes hands nothing down.
INNER = "server"


@dataclass(frozen=True)
class Place:
    """The server's own group in one hierarchy; ``version`` is 1 or 2."""

    path: str
    version: int


def own_places(groups: str, mounts: str) -> dict[str, Place]:
    """Controller → our group, from the texts of ``/proc/self/cgroup`` and ``mountinfo``.

    The key "" is the unified hierarchy, whose controllers are known only by looking.
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
            # In a container the mount shows a part of the hierarchy: what is above it has no name here.
            inside = root.rstrip("/")
            if path in (root, inside):
                places[name] = Place(point, version)
            elif path.startswith(inside + "/"):
                places[name] = Place(point + path[len(inside) :], version)
    return places


def write(path: str, text: str) -> None:
    """One setting.  OSError."""
    # Not Path.write_text: O_TRUNC and O_CREAT have no business in a kernel's file system.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read(path: str) -> bytes:
    """The first READ_BYTES of a file.  OSError."""
    # A leaf has one process when this is asked: one read holds it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, READ_BYTES)
    finally:
        os.close(descriptor)


def seat_of(place: Place) -> str:
    """The list of processes that this one is in: it may have moved out of the way."""
    inner = f"{place.path}/{INNER}/cgroup.procs"
    has_moved = os.path.exists(inner) and str(os.getpid()).encode() in read(inner).split()
    return inner if has_moved else f"{place.path}/cgroup.procs"


def base_v1(place: Place, name: str) -> Place:
    """Our group in a hierarchy of its own kind.  OSError."""
    base = f"{place.path}/{name}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o755)
    if not os.access(base, os.W_OK):  # somebody else's server had this data directory
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), base)
    return Place(base, 1)


def base_v2(place: Place, name: str, controller: str, family: Sequence[int]) -> Place:
    """Our group in the unified hierarchy, with ``controller`` handed down to its leaves."""
    own = place.path
    if controller not in Path(f"{own}/cgroup.controllers").read_text().split():
        raise LookupError(f"the controller is not available in {own}: it needs a delegated group")
    base = f"{own}/{name}"
    if controller not in Path(f"{own}/cgroup.subtree_control").read_text().split():
        _make_inner(own, {os.getpid(), *family})
        write(f"{own}/cgroup.subtree_control", f"+{controller}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o755)
    write(f"{base}/cgroup.subtree_control", f"+{controller}")
    return Place(base, 2)


def _make_inner(own: str, family: set[int]) -> None:
    """A group with processes hands nothing down: the server moves to a leaf beside its cells."""
    if not os.path.exists(f"{own}/cgroup.type"):
        # The root of the hierarchy is the host's: what it hands down is not ours to change.
        raise LookupError(f"{own} hands the controller to nobody: it needs a delegated group")
    members = set(map(int, Path(f"{own}/cgroup.procs").read_text().split()))
    if members - family:
        raise LookupError(f"{own} has other processes than this server: it needs a group of its own")
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{own}/{INNER}", 0o755)
    for pid in members:
        write(f"{own}/{INNER}/cgroup.procs", str(pid))
