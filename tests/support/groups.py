"""A server's cgroups from outside: its own group in each hierarchy, and the leaves of its cells."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from supervisor.warden.jail.cgroup_hierarchies import own_places
from supervisor.warden.jail.cgroups import CONTROLLERS, FREEZER


def groups_of(data_dir: Path) -> dict[str, tuple[Path, int]]:
    """Controller → (the server's group, 1 or 2), for those that it has."""
    name = f"cellblock-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:8]}"
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    found = {}
    for controller in (*CONTROLLERS, FREEZER):
        # Of v1's hierarchies that of the freezer is not used.
        place = (places.get(controller) if controller != FREEZER else None) or places.get("")
        if place is not None and (Path(place.path) / name).is_dir():
            found[controller] = (Path(place.path) / name, place.version)
    return found


def leaves(data_dir: Path) -> dict[str, int]:
    """Controller → how many leaves the server has there now."""
    return {
        name: sum(1 for entry in folder.iterdir() if entry.is_dir())
        for name, (folder, _) in groups_of(data_dir).items()
    }


def leaf_names(data_dir: Path) -> set[str]:
    """The names of the leaves that there are now in any hierarchy: no two cells have the same."""
    folders = [folder for folder, _ in groups_of(data_dir).values()]
    return {entry.name for folder in folders for entry in folder.iterdir() if entry.is_dir()}


def is_frozen(pid: int) -> bool:
    """Whether it stands still: in a frozen group, or stopped by a signal.  False for one that is gone."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
        place = own_places(Path(f"/proc/{pid}/cgroup").read_text(), mounts).get("")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        events = Path(f"{place.path}/cgroup.events") if place is not None else Path("/nowhere")
        return state == "T" or (events.exists() and "frozen 1" in events.read_text())
    except (FileNotFoundError, ProcessLookupError):
        return False


def peaks_of(data_dir: Path) -> dict[str, int]:
    """Leaf → the most that was ever charged to it, in bytes; empty where memory is not counted."""
    group = groups_of(data_dir).get("memory")
    if group is None:
        return {}
    folder, version = group
    file = "memory.max_usage_in_bytes" if version == 1 else "memory.peak"
    found = {}
    for leaf in folder.iterdir():
        with contextlib.suppress(OSError, ValueError):  # it has just gone
            found[leaf.name] = int((leaf / file).read_text())
    return found
