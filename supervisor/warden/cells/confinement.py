"""What all cells of a server are confined with, and the layers that the server publishes about it.

There is one Confinement for the whole server: it has the tier, the cgroups, the compiled seccomp filters, and
the proof that the last cell gave.  It touches no process; ``held_cell`` does.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from seccomp.compiler import compile_profile
from seccomp.profile import load
from supervisor.link_records import CellLimits, Layer
from supervisor.warden.cells.bare_cell_folders import BareCellFolders
from supervisor.warden.cells.code_mount import BundleCode, Bundles
from supervisor.warden.cells.kill_boost import KillBoost
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import metadata_routes
from supervisor.warden.jail.cgroups import CONTROLLERS, FREEZER, Budget, Cgroups, Leaf
from supervisor.warden.jail.device_nodes import own_devices
from supervisor.warden.jail.host_names import HostNames
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import REMEDIES, Tier
from supervisor.warden.memory import cell_memory_policy
from supervisor.warden.memory.memory_guard import COUNTED, EVIDENCE, MemoryGuard
from supervisor.warden.memory.open_files import OpenFilesGuard
from supervisor.warden.supply.preload import ImportProfile
from worker.setup_messages import ProvenLayer, Surroundings, Tie

log = logging.getLogger("cellblock.confinement")

# At shutdown: for the removal of the last cells' groups, which takes some milliseconds each.
SWEEP_SECONDS = 2.0

# The seccomp profile of a cell by its function's network.
PROFILES = {"none": "cell", "host": "cell-network"}
# Without namespaces cells get no sockets at all: Landlock does not restrict the paths of Unix sockets yet.
BARE_PROFILE = "cell-bare"

# In its own pid namespace: pid 1 and the worker, which proves the lock-down before there are more.
PIDS_OF_A_BLANK_CELL = 2

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")

# The layers that a cell's proof has to name.  A missing one means that a step was left out: a breach.
_HELD = ("rlimits", "privileges", "descriptors", "keyring", "landlock", "proc", "speculation", "seccomp")
_NAMESPACED = (
    *_HELD, "user-namespace", "namespaces", "mount-namespace", "read-only-root", "devices", "own-devices",
    "pid-namespace", "network", "cgroup-namespace", "no-nested-namespaces", "code", "tmp", "capabilities",
    "memfd-noexec", "metadata",
)  # fmt: skip
_BARE = (*_HELD, "files", "read-only", "processes")
PROVEN: dict[Tier, frozenset[str]] = {
    Tier.A: frozenset(_NAMESPACED),
    Tier.A_USER: frozenset(_NAMESPACED),
    Tier.B: frozenset(_BARE),
    Tier.C: frozenset(_BARE),
    Tier.NONE: frozenset(),
}


class CellKind(NamedTuple):
    """What blank cells differ in.  Everything else is decided when a cell is tied.

    A tuple, for the interpreter itself hashes and compares it: each fill looks hundreds of them up.
    """

    runtime: str
    network: str
    profile: ImportProfile


class Confinement:
    """Shared by all cells.

    ``proof`` is what the last tied cell reported; a non-empty ``breach`` ends the service.
    """

    def __init__(
        self,
        tier: Tier,
        cgroups: Cgroups,
        findings: Mapping[str, Finding],
        bundles: Bundles,
        bare_cell_folders: BareCellFolders | None,
        readable: Mapping[str, Sequence[str]],
    ) -> None:
        self.tier = tier
        self.cgroups = cgroups
        self.kill_boost = KillBoost(cgroups)
        self.bundles = bundles
        self.bare_cell_folders = bare_cell_folders
        self.readable = readable
        self._findings = findings
        machine = os.uname().machine
        self._programs = {
            network: compile_profile(load(profile if tier.has_namespaces else BARE_PROFILE), machine)
            for network, profile in PROFILES.items()
        }
        self._namespaces = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES}
        self._keyring = sys_.session_keyring()
        self._has_own_devices = tier is Tier.A
        self._is_guarded: bool | None = None  # None until the first cell with a network
        # For ``warm_up``.  One thread, so that cells in a row share one wait of the kernel's.
        self._waiter = ThreadPoolExecutor(1, "cgroups")
        # For the removal of groups, which nothing waits for.
        self._sweeper = ThreadPoolExecutor(1, "leaves")
        self.open_files = OpenFilesGuard()
        self._names = HostNames()
        self.guard = MemoryGuard("memory" in cgroups.versions, tier.has_namespaces)
        self.proof: Sequence[ProvenLayer] = ()
        self.is_proven = False
        self.breach = ""

    @property
    def has_namespaces(self) -> bool:
        """Whether cells have namespaces, so that code comes as a mount."""
        return self.tier.has_namespaces

    @property
    def maps_ids(self) -> bool:
        """Whether the warden maps two foreign user ids into each cell."""
        return self.tier is Tier.A

    def warm_up(self) -> asyncio.Future[None]:
        """Run ``Cgroups.warm_up`` in a thread, so that the next ``Leaf.join`` does not block the loop."""
        return asyncio.get_running_loop().run_in_executor(self._waiter, self.cgroups.warm_up)

    def sweep(self, leaf: Leaf) -> None:
        """Remove the leaf of a cell that has ended, in a thread."""
        self._sweeper.submit(self.cgroups.drop, leaf)

    def close(self) -> None:
        """Wait at the server's end until the last cgroups are removed, SWEEP_SECONDS at most."""
        try:
            self._sweeper.submit(int).result(SWEEP_SECONDS)
        except TimeoutError:
            log.warning("the groups of some cells were not swept within %.0f s", SWEEP_SECONDS)
        self._sweeper.shutdown(cancel_futures=True)
        self._waiter.shutdown()

    def surroundings(self, kind: CellKind, devices: int, zygote: int) -> Surroundings:
        """What a cell of this kind is told before it has a function.

        ``devices`` is the device number of its own device nodes' file system, 0 without one; ``zygote`` is
        the pid of its zygote.
        """
        # In a container our own pid may be one that a process of the cell has too, which it can signal.
        is_unlike = os.getpid() > PIDS_OF_A_BLANK_CELL or not self.has_namespaces
        return Surroundings(
            filter=self._programs[kind.network],
            outsider=os.getpid() if is_unlike else zygote,
            namespaces=self._namespaces,
            keyring=self._keyring,
            guards_metadata=kind.network != "none" and self._guards_metadata(),
            devices=devices,
        )

    def _guards_metadata(self) -> bool:
        """Whether cells in the host's network are refused the metadata addresses; tried once."""
        if self._is_guarded is None:
            try:
                if not self.cgroups.unified:
                    raise OSError(errno.ENOENT, self.cgroups.missing[FREEZER])
                metadata_routes.guard(self.cgroups.unified)
                self._is_guarded = True
            except OSError as error:
                log.warning("with network = host the metadata addresses of clouds can be reached: %s", error)
                self._is_guarded = False
        return self._is_guarded

    def devices(self) -> list[int]:
        """A detached mount of device nodes for one cell; empty where cells use the host's nodes."""
        if not self._has_own_devices:
            return []
        try:
            return [own_devices()]
        except OSError as error:
            log.warning("cells share the host's device nodes: %s", error)
            self._has_own_devices = False
            return []

    def tie(self, name: str, kind: CellKind, uid: int, code: BundleCode | None, limits: CellLimits) -> Tie:
        """What a cell is told when it is tied: its limits, and where its code and scratch space are."""
        tie = Tie(
            has_code=code is not None and self.has_namespaces,
            memory_bytes=limits.memory_bytes,
            tmp_bytes=limits.tmp_bytes,
            open_files=limits.open_files,
            processes=limits.processes,
            function_dir="/function",
            tmp_dir="/tmp",  # noqa: S108 - the cell's own
            readable=[],
            uid=uid,
            is_fresh=limits.is_fresh,
            names=self._names.files() if kind.network != "none" and self.has_namespaces else {},
        )
        if self.bare_cell_folders is None:
            return tie
        return tie.replaced(
            function_dir=str(self.bare_cell_folders.function_dir(name, code, self.bundles)),
            tmp_dir=str(self.bare_cell_folders.tmp_dir(name)),
            readable=list(self.readable[kind.runtime]),
        )

    @property
    def bare_code(self) -> Path | None:
        """The folder of our worker code, for zygotes without a root of their own; None with namespaces."""
        return None if self.bare_cell_folders is None else self.bare_cell_folders.code_dir

    def make_folders(self, name: str, uid: int) -> None:
        """Make a cell's folders, in tiers without namespaces."""
        if self.bare_cell_folders is not None:
            self.bare_cell_folders.make(name, uid)

    def drop_folders(self, name: str) -> None:
        """Remove the folders of a cell that has been reaped."""
        if self.bare_cell_folders is not None:
            self.bare_cell_folders.drop(name)

    def unproven(self, proof: Sequence[ProvenLayer]) -> list[str]:
        """The layers of this tier that a proof does not name."""
        return sorted(PROVEN[self.tier] - {proven.layer for proven in proof})

    def believe(self, proof: Sequence[ProvenLayer]) -> bool:
        """Keep a cell's proof.  True if a layer's status differs from the last proof."""
        # Evidence differs from cell to cell (a keyring's number), so only the statuses are compared.
        states = [[(each.layer, each.status) for each in known] for known in (self.proof, proof)]
        is_news = not self.is_proven or states[0] != states[1]
        self.proof, self.is_proven = proof, True
        return is_news

    def layers(self) -> list[Layer]:
        """Every layer, for ``cellblock layers`` and ``/healthz``."""
        status = {Tier.A: "enforced", Tier.NONE: "absent"}.get(self.tier, "degraded")
        if self.breach:
            status = "breached"
        found = [Layer("tier", status, self.breach or self.tier.value)]
        found.append(
            Layer("own-user-ids", "enforced", "no other process of the host has them")
            if self.tier in (Tier.A, Tier.B)
            else Layer("own-user-ids", "absent", f"one id for all cells: {REMEDIES['root']}")
        )
        for name in CONTROLLERS:
            version = self.cgroups.versions.get(name)
            if version:
                found.append(Layer(f"cgroup-{name}", "enforced", f"v{version}, limits before the process"))
            else:
                found.append(Layer(f"cgroup-{name}", "absent", self.cgroups.missing[name]))
        found.append(
            Layer("freezer", "enforced", "an idle cell is frozen: nothing in it runs, whoever signals it")
            if FREEZER in self.cgroups.versions
            else Layer("freezer", "degraded", f"by SIGSTOP: {self.cgroups.missing[FREEZER]}")
        )
        status = "enforced" if self.guard.is_counted else "absent" if self.guard.blindness else "degraded"
        evidence = COUNTED if self.guard.is_counted else self.guard.blindness or EVIDENCE
        found.append(Layer("memory-guard", status, evidence))
        found += [Layer(each.layer, each.status, each.evidence) for each in self.proof]
        # These are not prevented: the operator has to know.
        found.append(Layer("file-locks", "absent", "locks on shared read-only files are a covert channel"))
        found.append(Layer("page-cache", "absent", "cells share the page cache of the libraries"))
        return found


def budget_of(limits: CellLimits) -> Budget:
    """The cgroup limits of a function."""
    kernel_bytes = cell_memory_policy.kernel_bytes(limits.memory_bytes, limits.tmp_bytes)
    return Budget(kernel_bytes, limits.processes, limits.cpu)


# The limits of a cell that only has to prove its lock-down.
PROOF_LIMITS = CellLimits(
    tmp_bytes=1 << 20, open_files=64, processes=8, memory_bytes=128 << 20, cpu=1.0, is_fresh=False
)
