"""Where the server stands in each cgroup hierarchy, from the kernel's two texts about it; pure."""

from __future__ import annotations

from dataclasses import dataclass


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
