"""A cgroup leaf for each cell, with its limits set before the process joins (v2, v1, or both at once).

The server makes one group for all its cells, below its own group in each hierarchy, and writes nowhere else.
If a controller cannot be had, its layer is published as absent with the reason, and the rest works on.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from supervisor.warden.jail import freezer
from supervisor.warden.jail.cgroup_hierarchies import (
    LIMIT_FILES,
    CgroupFolder,
    base_v1,
    base_v2,
    own_procs_file,
    read,
    write,
)

log = logging.getLogger("cellblock.cgroups")

CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
# The kernel refuses a quota below one millisecond.
CPU_QUOTA_LEAST_US = 1000
# The limits of a blank cell: it only copies pages after its fork.
BLANK_GROUP_BYTES = 512 << 20
BLANK_PROCESSES = 64
FREEZER = "freezer"
# A cell's pid 1 is ours, so it is not counted against the function's limit.
OWN_PROCESSES = 1


class Budget(NamedTuple):
    """What one cell may use: bytes, processes and threads, cores."""

    memory_bytes: int
    processes: int
    cpu: float


BLANK = Budget(BLANK_GROUP_BYTES, BLANK_PROCESSES, 0)


def group_name(data_dir: Path) -> str:
    """The name of a server's group.

    It depends only on the data directory, so a restart finds what a crash left.
    """
    return f"cellblock-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:8]}"


def _reason(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, error.errno)} at {error.filename or 'a write'}"


class Leaf:
    """One cell's group, in every hierarchy."""

    def __init__(self, folders: Mapping[str, CgroupFolder]) -> None:
        self._folders = folders
        self._paths = sorted({place.path for place in folders.values()})

    @property
    def folders(self) -> Mapping[str, CgroupFolder]:
        """Controller → this cell's group."""
        return self._folders

    def limit(self, budget: Budget) -> None:
        """Write the limits.  Raises OSError if the kernel refuses one."""
        self._write(lambda name, version: settings_of(name, version, budget))

    def limit_blank(self) -> None:
        """Write the limits of a blank cell.  Raises OSError."""
        self._write(settings_of_blank)

    def _write(self, settings: Callable[[str, int], list[tuple[str, str]]]) -> None:
        for name, place in self._folders.items():
            for file, text in settings(name, place.version):
                try:
                    write(f"{place.path}/{file}", text)
                except FileNotFoundError:
                    # Swap accounting may be off, and old kernels lack memory.oom.group.
                    if file not in _OPTIONAL:
                        raise

    def join(self, pid: int) -> None:
        """Move a process into the group, and check that it is there."""
        for path in self._paths:
            write(f"{path}/cgroup.procs", str(pid))
        # The name of a cell's group is random.  One file has the process's groups in all hierarchies.
        if not self._paths:
            return
        name = os.path.basename(self._paths[0])
        with open(f"/proc/{pid}/cgroup", "rb") as groups:
            is_in = groups.read().count(f"/{name}\n".encode())
        if is_in < len(self._paths):
            raise ProcessLookupError(errno.ESRCH, "the cell is not in its groups", name)

    def process_count(self) -> int:
        """The number of processes and threads in it; 0 where the pids controller is missing."""
        place = self._folders.get("pids")
        try:
            return int(read(f"{place.path}/pids.current")) if place is not None else 0
        except (OSError, ValueError):  # the cell has ended
            return 0

    def freeze(self, is_frozen: bool) -> bool:
        """Freeze or thaw the cell.  False where the freezer is missing or the group is gone."""
        place = self._folders.get(FREEZER)
        return place is not None and freezer.freeze(place.path, is_frozen)

    def kill(self) -> None:
        """Kill every process in it at once where the kernel can (v2, Linux 5.14); on v1 forbid new ones.

        Also lifts its CPU limit (``_CPU_WHILE_KILLED``).
        """
        place = self._folders.get("cpu")
        if place is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                for file, text in _CPU_WHILE_KILLED[place.version]:
                    write(f"{place.path}/{file}", text)
        for place in self._folders.values():
            if place.version == 2:
                with contextlib.suppress(OSError):
                    write(f"{place.path}/cgroup.kill", "1")
        place = self._folders.get("pids")
        if place is not None and place.version == 1:
            with contextlib.suppress(OSError):
                write(f"{place.path}/pids.max", "0")

    def members(self) -> list[int]:
        """The pids in it; of a very large group only those in the first READ_BYTES of the list."""
        for path in self._paths:
            with contextlib.suppress(OSError):
                text = read(f"{path}/cgroup.procs")
                return [int(pid) for pid in text[: text.rfind(b"\n") + 1].split()]
        return []

    def processes(self) -> list[int]:
        """The pids that ``kill`` could not kill at once; empty without cgroups and on v2 with cgroup.kill."""
        if any(os.path.exists(f"{place.path}/cgroup.kill") for place in self._folders.values()):
            return []
        for place in self._folders.values():
            if place.version == 1:
                with contextlib.suppress(OSError):
                    return [int(pid) for pid in read(f"{place.path}/cgroup.procs").splitlines()]
        return []

    def release_pages(self) -> None:
        """Have the kernel reclaim the pages charged to the group, so that ``remove`` really frees the group.

        Page cache that the cell was the first to read keeps a removed group in the kernel's memory, and the
        kernel can have only about 65,000 groups.  Takes 4 ms, or 140 ms with many pages (measured): never on
        the loop.
        """
        place = self._folders.get("memory")
        if place is None:
            return
        with contextlib.suppress(OSError):  # the rest is reclaimed when the host needs memory
            if read(f"{place.path}/cgroup.procs"):
                return  # its processes would read the pages again
            if place.version == 1:
                write(f"{place.path}/memory.force_empty", "0")
            else:
                # Since Linux 5.19.
                write(f"{place.path}/memory.reclaim", read(f"{place.path}/memory.current").decode().strip())

    def remove(self) -> bool:
        """Remove the group.  False while a process in it is still ending."""
        done = True
        for path in self._paths:
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError:
                done = False
        return done


# A cell that is being killed gets no CPU limit: a throttled process would wait up to a tenth of a second for
# its next period before it could end.  It also gets ten times the usual weight.  Its end is short work, and
# until then it holds memory and one of the places for cells.
_CPU_WHILE_KILLED = {
    1: (("cpu.cfs_quota_us", "-1"), ("cpu.shares", "10240")),
    2: (("cpu.max", f"max {CPU_PERIOD_US}"), ("cpu.weight", "1000")),
}
# Files that some kernels do not have.
_OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")


def settings_of(name: str, version: int, budget: Budget) -> list[tuple[str, str]]:
    """The files of one controller and their values, in an order that the kernel accepts."""
    if name == FREEZER:
        return []
    processes = str(budget.processes + OWN_PROCESSES)
    memory = str(budget.memory_bytes)
    quota = max(CPU_QUOTA_LEAST_US, int(budget.cpu * CPU_PERIOD_US)) if budget.cpu else 0
    if name == "pids":
        return [(LIMIT_FILES["pids"][version], processes)]
    if name == "cpu" and version == 2:
        return [("cpu.max", f"{quota or 'max'} {CPU_PERIOD_US}")]
    if name == "cpu":
        return [("cpu.cfs_quota_us", str(quota or -1))]  # of the period that a new group has
    limit_file = LIMIT_FILES["memory"][version]
    if version == 2:
        # oom.group: when memory runs out the kernel kills the whole cell, and not one process of it.
        return [(limit_file, memory), ("memory.swap.max", "0"), ("memory.oom.group", "1")]
    # memsw may never be below the other limit, so it is lifted first, whichever way the limit changes.
    return [
        ("memory.memsw.limit_in_bytes", "-1"),
        (limit_file, memory),
        ("memory.memsw.limit_in_bytes", memory),
    ]


def settings_of_blank(name: str, version: int) -> list[tuple[str, str]]:
    """Those of a blank cell that a new group has not: no CPU limit, and on v1 none of swap.

    Only our own code runs in it.
    """
    if name == "cpu":
        return []
    settings = settings_of(name, version, BLANK)
    return (
        [(file, text) for file, text in settings if file == LIMIT_FILES[name][1]]
        if version == 1
        else settings
    )


class Cgroups:
    """The group of all cells, and the leaves below it."""

    def __init__(self, name: str, places: Mapping[str, CgroupFolder], own_pids: Sequence[int] = ()) -> None:
        """``own_pids`` are the server's other processes; no foreign process may share its group."""
        self._bases: dict[str, CgroupFolder] = {}
        self._own_procs_file = ""
        # Controller → why it is missing, for the published layers.
        self.missing: dict[str, str] = {}
        for controller in CONTROLLERS:
            place = places.get(controller) or places.get("")
            if place is None:
                self.missing[controller] = "no cgroup hierarchy is mounted"
                continue
            try:
                self._bases[controller] = (
                    base_v1(place, name) if place.version == 1 else base_v2(place, name, controller, own_pids)
                )
                self._own_procs_file = self._own_procs_file or own_procs_file(place)
            except OSError as error:
                self.missing[controller] = _reason(error)
            except LookupError as error:
                self.missing[controller] = str(error.args[0])
        try:
            self._bases[FREEZER] = freezer.base_of(places, name)
        except OSError as error:
            self.missing[FREEZER] = _reason(error)
        except LookupError as error:
            self.missing[FREEZER] = str(error.args[0])
        # Leaves that could not be removed yet: their processes are still ending.  Tried again after each
        # cell.
        self._unremoved = [Leaf({"": CgroupFolder(path, 0)}) for path in self._clear()]

    @property
    def versions(self) -> dict[str, int]:
        """Controller → version, for the controllers in force."""
        return {name: place.version for name, place in self._bases.items()}

    @property
    def unified(self) -> str:
        """The folder of all cells in the unified hierarchy; "" if it is missing."""
        place = self._bases.get(FREEZER)
        return place.path if place is not None else ""

    def leaf(self, name: str) -> Leaf:
        """Make a leaf with a blank cell's limits.  Raises OSError."""
        leaf = Leaf(
            {key: CgroupFolder(f"{base.path}/{name}", base.version) for key, base in self._bases.items()}
        )
        try:
            for path in leaf._paths:
                os.mkdir(path, 0o755)
            leaf.limit_blank()
        except OSError:
            leaf.remove()
            raise
        return leaf

    def warm_up(self) -> None:
        """Make the next ``join`` fast.  Takes up to tens of milliseconds, so never on the loop.

        Before it moves a process between groups, the kernel waits for an RCU grace period, unless it has just
        done so (measured: 7 to 25 ms, then 0.2 ms for the moves of the next 15 ms).  This writes this
        process's pid to the group that it is in already, only to take that wait.
        """
        if self._own_procs_file:
            with contextlib.suppress(OSError):  # then the join itself waits
                write(self._own_procs_file, str(os.getpid()))

    def limit_all_cells(self, processes: int, memory_bytes: int) -> None:
        """Limit what all cells have together."""
        for controller, most in (("pids", processes), ("memory", memory_bytes)):
            base = self._bases.get(controller)
            if base is None:
                continue
            try:
                write(f"{base.path}/{LIMIT_FILES[controller][base.version]}", str(most))
            except OSError as error:  # cells of a killed server may still use more
                log.warning("the %s of all cells together has no limit: %s", controller, _reason(error))

    def set_cpu_weight(self, times: int) -> None:
        """Set the CPU weight of all cells together to ``times`` the usual one."""
        base = self._bases.get("cpu")
        if base is not None:
            file, usual = ("cpu.shares", 1024) if base.version == 1 else ("cpu.weight", 100)
            with contextlib.suppress(OSError):
                write(f"{base.path}/{file}", str(usual * times))

    def drop(self, leaf: Leaf) -> None:
        """Remove the leaf of a cell that was reaped, and those that could not be removed before.

        Call it from one thread, never the loop's: see ``Leaf.release_pages``.
        """
        leaf.release_pages()
        self._unremoved = [leaf for leaf in (*self._unremoved, leaf) if not leaf.remove()]

    def close(self) -> None:
        """Remove the group of all cells, with the leaves that a killed server left."""
        self._unremoved = []
        self._clear()
        for base in self._bases.values():
            with contextlib.suppress(OSError):
                os.rmdir(base.path)

    def _clear(self) -> list[str]:
        """Remove the empty leaves of our group.  Returns the paths of the others."""
        left = []
        for path in {base.path for base in self._bases.values()}:
            try:
                entries = [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
            except FileNotFoundError:  # removed meanwhile
                continue
            for leaf in entries:
                # One with processes is still ending: no other server uses this data directory.
                try:
                    os.rmdir(leaf)
                except OSError:
                    left.append(leaf)
        return left
