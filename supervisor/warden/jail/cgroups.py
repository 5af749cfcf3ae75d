"""A cgroup leaf for each cell: limits first, then the process (v2, v1, or both at once).

Where the server may make groups is found from its own place in each hierarchy; nothing is written
outside the one group that it makes for itself there.  A controller that cannot be had is a layer that
is absent, with its reason; nothing else changes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.warden.jail import freezer
from supervisor.warden.jail.cgroup_hierarchies import Place, base_v1, base_v2, read, seat_of, write

log = logging.getLogger("cellblock.cgroups")

CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
# The kernel refuses a quota below a millisecond.
CPU_QUOTA_LEAST_US = 1000
# A cell before its function is known: the copies a fork makes, and nothing else.
BLANK_MEMORY_BYTES = 512 << 20
BLANK_PROCESSES = 64
FREEZER = "freezer"
# Pid 1 of the cell, which is ours and not the function's.
PROCESSES_OF_OURS = 1


@dataclass(frozen=True)
class Budget:
    """What one cell may use: bytes, processes and threads, cores."""

    memory_bytes: int
    processes: int
    cpu: float


BLANK = Budget(BLANK_MEMORY_BYTES, BLANK_PROCESSES, 0)


def name_of(data_dir: Path) -> str:
    """A server's one group is named after its data directory: a restart finds what a crash left."""
    return f"cellblock-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:8]}"


def _reason(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, error.errno)} at {error.filename or 'a write'}"


class Leaf:
    """One cell's group, in every hierarchy that there is."""

    def __init__(self, folders: Mapping[str, Place]) -> None:
        self._folders = folders
        self._paths = sorted({place.path for place in folders.values()})

    @property
    def folders(self) -> Mapping[str, Place]:
        """Controller → its group there."""
        return self._folders

    def limit(self, budget: Budget) -> None:
        """Write the limits.  OSError when the kernel refuses one."""
        for name, place in self._folders.items():
            for file, text in settings_of(name, place.version, budget):
                try:
                    write(f"{place.path}/{file}", text)
                except FileNotFoundError:
                    # Swap accounting may be off, and old kernels have no oom.group.
                    if file not in _OPTIONAL:
                        raise

    def join(self, pid: int) -> None:
        """Put a process into it, and read back that it is there."""
        for path in self._paths:
            write(f"{path}/cgroup.procs", str(pid))
        for path in self._paths:
            if str(pid).encode() not in read(f"{path}/cgroup.procs").split():
                raise ProcessLookupError(errno.ESRCH, "the cell is not in its group", path)

    def process_count(self) -> int:
        """Processes and threads in it now; 0 where nobody counts."""
        return self._number("pids", "pids.current", "pids.current")

    def _number(self, controller: str, *files: str) -> int:
        place = self._folders.get(controller)
        try:
            return int(read(f"{place.path}/{files[place.version - 1]}")) if place is not None else 0
        except (OSError, ValueError):  # it has just ended
            return 0

    def freeze(self, is_frozen: bool) -> bool:
        """As ``freezer.freeze``; False where there is none."""
        place = self._folders.get(FREEZER)
        return place is not None and freezer.freeze(place.path, is_frozen)

    def kill(self) -> None:
        """End every process in it at once, where the kernel can (v2, 5.14), else let none be added.

        And it gets the processor for that (``_TO_END``).
        """
        place = self._folders.get("cpu")
        if place is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                for file, text in _TO_END[place.version]:
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
        """Every process in it; of a great many the first some hundred."""
        for path in self._paths:
            with contextlib.suppress(OSError):
                text = read(f"{path}/cgroup.procs")
                return [int(pid) for pid in text[: text.rfind(b"\n") + 1].split()]
        return []

    def processes(self) -> list[int]:
        """What is in it and was not ended by ``kill``; empty without cgroups, and where v2 has ended all."""
        if any(os.path.exists(f"{place.path}/cgroup.kill") for place in self._folders.values()):
            return []
        for place in self._folders.values():
            if place.version == 1:
                with contextlib.suppress(OSError):
                    return [int(pid) for pid in read(f"{place.path}/cgroup.procs").splitlines()]
        return []

    def forget(self) -> None:
        """Give up the pages that are charged to it, so that its removal is one.

        A page of a file that it was the first to read, as of a library that it had evicted before, would keep
        the group after its removal, and a kernel has room for some 65,000 of them.  Takes 4 ms, with much to
        give up 140 (measured): never on the loop.
        """
        place = self._folders.get("memory")
        if place is None:
            return
        with contextlib.suppress(OSError):  # not all of it, or not here: then it stays until there is need
            if read(f"{place.path}/cgroup.procs"):
                return  # they would read it again
            if place.version == 1:
                write(f"{place.path}/memory.force_empty", "0")
            else:
                # From Linux 5.19; as much as there is.
                write(f"{place.path}/memory.reclaim", read(f"{place.path}/memory.current").decode().strip())

    def remove(self) -> bool:
        """Remove it; False while something in it is still ending."""
        done = True
        for path in self._paths:
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError:
                done = False
        return done


# What is being ended has no limit of the processor, or it would wait for the next period, up to a tenth of
# a second, if it was just throttled; and ten times anybody's share: what is left to do is short, and until
# it is done memory and a place among the cells are taken.
_TO_END = {
    1: (("cpu.cfs_quota_us", "-1"), ("cpu.shares", "10240")),
    2: (("cpu.max", f"max {CPU_PERIOD_US}"), ("cpu.weight", "1000")),
}
_SUMS = {
    ("pids", 1): (("pids.max", "{processes}"),),
    ("pids", 2): (("pids.max", "{processes}"),),
    ("memory", 1): (("memory.limit_in_bytes", "{memory}"),),
    ("memory", 2): (("memory.max", "{memory}"),),
}
_OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")


def settings_of(name: str, version: int, budget: Budget) -> list[tuple[str, str]]:
    """The files of one controller and what to write, in an order that the kernel takes."""
    if name == FREEZER:
        return []
    processes = str(budget.processes + PROCESSES_OF_OURS)
    memory = str(budget.memory_bytes)
    quota = max(CPU_QUOTA_LEAST_US, int(budget.cpu * CPU_PERIOD_US)) if budget.cpu else 0
    if name == "pids":
        return [("pids.max", processes)]
    if name == "cpu" and version == 2:
        return [("cpu.max", f"{quota or 'max'} {CPU_PERIOD_US}")]
    if name == "cpu":
        return [("cpu.cfs_period_us", str(CPU_PERIOD_US)), ("cpu.cfs_quota_us", str(quota or -1))]
    if version == 2:
        # One process killed would leave half a cell: all or none.
        return [("memory.max", memory), ("memory.swap.max", "0"), ("memory.oom.group", "1")]
    # Without a limit in between: memsw may never be below the other, whichever way that one moves.
    return [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", memory),
        ("memory.memsw.limit_in_bytes", memory),
    ]


class Cgroups:
    """The server's group and the leaves below it."""

    def __init__(self, name: str, places: Mapping[str, Place], family: Sequence[int] = ()) -> None:
        """``family``: the server's own processes beside this one; nobody else may share its group."""
        self._bases: dict[str, Place] = {}
        self._debris: list[Leaf] = []
        self._seat = ""
        # Controller → why it cannot be had, for the published layers.
        self.missing: dict[str, str] = {}
        for controller in CONTROLLERS:
            place = places.get(controller) or places.get("")
            if place is None:
                self.missing[controller] = "no cgroup hierarchy is mounted"
                continue
            try:
                self._bases[controller] = (
                    base_v1(place, name) if place.version == 1 else base_v2(place, name, controller, family)
                )
                self._seat = self._seat or seat_of(place)
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
        # Those that a killed server's last processes are just leaving are removed with the next cell's end.
        self._debris = [Leaf({"": Place(path, 0)}) for path in self._clear()]

    @property
    def versions(self) -> dict[str, int]:
        """Controller → version, for those in force."""
        return {name: place.version for name, place in self._bases.items()}

    @property
    def unified(self) -> str:
        """The folder of all cells in the unified hierarchy; "" where there is none."""
        place = self._bases.get(FREEZER)
        return place.path if place is not None else ""

    def leaf(self, name: str) -> Leaf:
        """A new leaf with a blank cell's limits.  OSError."""
        leaf = Leaf({key: Place(f"{base.path}/{name}", base.version) for key, base in self._bases.items()})
        try:
            for path in leaf._paths:
                os.mkdir(path, 0o755)
            leaf.limit(BLANK)
        except OSError:
            leaf.remove()
            raise
        return leaf

    def warm_up(self) -> None:
        """Make the next ``join`` quick; may take tens of milliseconds itself, so never on the loop.

        Before the first change of any group's processes in a while the kernel waits for an RCU grace
        period (measured: 7 to 25 ms, then 0.2 ms for whoever comes within the next 15).  This change says
        where this process is already, and changes nothing.
        """
        if self._seat:
            with contextlib.suppress(OSError):  # then the join waits for itself
                write(self._seat, str(os.getpid()))

    def bound(self, processes: int, memory_bytes: int) -> None:
        """All cells together have no more than this, whatever each of them may have."""
        for controller in ("pids", "memory"):
            base = self._bases.get(controller)
            if base is None:
                continue
            try:
                for file, text in _SUMS[controller, base.version]:
                    write(f"{base.path}/{file}", text.format(processes=processes, memory=memory_bytes))
            except OSError as error:  # what a killed server's cells still have may be more
                log.warning("the %s of all cells together has no limit: %s", controller, _reason(error))

    def weigh(self, times: int) -> None:
        """All cells together have so many times the usual share of the processor, where it is counted."""
        base = self._bases.get("cpu")
        if base is not None:
            file, usual = ("cpu.shares", 1024) if base.version == 1 else ("cpu.weight", 100)
            with contextlib.suppress(OSError):
                write(f"{base.path}/{file}", str(usual * times))

    def drop(self, leaf: Leaf) -> None:
        """Its cell has been reaped; what is not empty yet is removed with the next one.

        From one thread, which is not the loop's: see ``Leaf.forget``.
        """
        leaf.forget()
        self._debris = [leaf for leaf in (*self._debris, leaf) if not leaf.remove()]

    def close(self) -> None:
        """Remove the server's own group, and the leaves of a server that was killed."""
        self._debris = []
        self._clear()
        for base in self._bases.values():
            with contextlib.suppress(OSError):
                os.rmdir(base.path)

    def _clear(self) -> list[str]:
        """Remove what is empty in our own group; what is not is in the answer."""
        left = []
        for path in {base.path for base in self._bases.values()}:
            try:
                entries = [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
            except FileNotFoundError:  # somebody was quicker
                continue
            for leaf in entries:
                # One that still has processes is just ending: no other server has this data directory.
                try:
                    os.rmdir(leaf)
                except OSError:
                    left.append(leaf)
        return left
