"""What every cell of this server is made with, and what the server publishes about it.

One object for the whole server: the tier, the cgroups, the compiled filters, and the proof that the
last cell gave.  The cells are made in ``cells``; here nothing happens to a process.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seccomp.compiler import compile_profile
from seccomp.profile import load
from supervisor.link_records import CellLimits, Layer
from supervisor.warden.cells.cell_folders import Rooms
from supervisor.warden.cells.code_mount import Bundles, Code
from supervisor.warden.cells.kill_boost import Hurry
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import metadata_routes
from supervisor.warden.jail.cgroups import CONTROLLERS, FREEZER, Budget, Cgroups, Leaf
from supervisor.warden.jail.device_nodes import own_devices
from supervisor.warden.jail.host_names import Names
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import REMEDIES, Tier
from supervisor.warden.memory import memory_policy
from supervisor.warden.memory.memory_guard import COUNTED, EVIDENCE, Guard
from supervisor.warden.memory.open_files import Files
from supervisor.warden.supply.preload import Ahead
from worker.setup_messages import ProvenLayer, Surroundings, Tie

log = logging.getLogger("cellblock.warden")

# At shutdown, for what the last cells leave in the kernel; some milliseconds each.
SWEEP_SECONDS = 2.0

# The profile of a cell by the network that its function has.
PROFILES = {"none": "cell", "host": "cell-network"}
# Without a network namespace no socket at all: a Unix socket's path is not Landlock's business yet.
BARE_PROFILE = "cell-bare"
log = logging.getLogger("cellblock.confinement")

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


# What a cell's proof has to speak of: a step that was forgotten proves nothing, so its silence counts.
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


@dataclass(frozen=True)
class Kind:
    """What blank cells differ in; everything else is decided when they are tied."""

    runtime: str
    network: str
    # What its zygote has imported.
    ahead: Ahead


class Confinement:
    """Shared by all cells; ``proof`` is what the last tied cell reported, ``breach`` ends the service."""

    def __init__(
        self,
        tier: Tier,
        cgroups: Cgroups,
        findings: Mapping[str, Finding],
        bundles: Bundles,
        rooms: Rooms | None,
        readable: Mapping[str, Sequence[str]],
    ) -> None:
        self.tier = tier
        self.cgroups = cgroups
        self.hurry = Hurry(cgroups)
        self.bundles = bundles
        self.rooms = rooms
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
        self._is_guarded: bool | None = None  # nobody has asked yet
        # One thread: whoever is second finds what the first waited for.
        self._waiter = ThreadPoolExecutor(1, "cgroups")
        # Another one, for what nobody waits for.
        self._sweeper = ThreadPoolExecutor(1, "leaves")
        self.files = Files()
        self._names = Names()
        self.guard = Guard("memory" in cgroups.versions, tier.has_namespaces)
        self.proof: Sequence[Layer] = ()
        self.is_proven = False
        self.breach = ""

    @property
    def has_namespaces(self) -> bool:
        """Whether a cell's code comes as a mount."""
        return self.tier.has_namespaces

    @property
    def maps_ids(self) -> bool:
        """Whether the warden maps two foreign ids into each cell."""
        return self.tier is Tier.A

    def warm_up(self) -> asyncio.Future[None]:
        """Done once a cell can join its groups without keeping everybody waiting."""
        return asyncio.get_running_loop().run_in_executor(self._waiter, self.cgroups.warm_up)

    def sweep(self, leaf: Leaf) -> None:
        """A cell has ended: its leaf goes, a moment later."""
        self._sweeper.submit(self.cgroups.drop, leaf)

    def close(self) -> None:
        """At shutdown: the leaves of the last cells go first, unless that takes long."""
        try:
            self._sweeper.submit(int).result(SWEEP_SECONDS)
        except TimeoutError:
            log.warning("the groups of some cells were not swept within %.0f s", SWEEP_SECONDS)
        self._sweeper.shutdown(cancel_futures=True)
        self._waiter.shutdown()

    def surroundings(self, kind: Kind, devices: int) -> Surroundings:
        """What a cell is told before it has a function; ``devices`` is its device nodes' file system."""
        return Surroundings(
            filter=self._programs[kind.network],
            outsider=os.getpid(),
            namespaces=self._namespaces,
            keyring=self._keyring,
            guards_metadata=kind.network != "none" and self._guards_metadata(),
            devices=devices,
        )

    def _guards_metadata(self) -> bool:
        """Whether cells in the host's network are kept from the addresses that give credentials."""
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
        """A mount of device nodes for one cell; none where they are the host's, which the proof says."""
        if not self._has_own_devices:
            return []
        try:
            return [own_devices()]
        except OSError as error:
            log.warning("cells share the host's device nodes: %s", error)
            self._has_own_devices = False
            return []

    def tie(self, name: str, kind: Kind, uid: int, code: Code | None, limits: CellLimits) -> Tie:
        """What a cell is told of its function: its limits, and where its code and its files are."""
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
        if self.rooms is None:
            return tie
        return tie.replaced(
            function_dir=str(self.rooms.function_dir(name, code, self.bundles)),
            tmp_dir=str(self.rooms.tmp_dir(name)),
            readable=list(self.readable[kind.runtime]),
        )

    @property
    def bare_code(self) -> Path | None:
        """Our worker code for zygotes that have no root of their own."""
        return None if self.rooms is None else self.rooms.code_dir

    def make_room(self, name: str, uid: int) -> None:
        """Folders for a cell that has no mounts of its own."""
        if self.rooms is not None:
            self.rooms.make(name, uid)

    def drop_room(self, name: str) -> None:
        """The cell has been reaped."""
        if self.rooms is not None:
            self.rooms.drop(name)

    def unproven(self, proof: Sequence[ProvenLayer]) -> list[str]:
        """The layers of this tier that a proof says nothing of."""
        return sorted(PROVEN[self.tier] - {proven.layer for proven in proof})

    def believe(self, proof: Sequence[ProvenLayer]) -> bool:
        """Keep a cell's proof; True when it says something new."""
        layers = tuple(Layer(each.layer, each.status, each.evidence) for each in proof)
        # Evidence differs from cell to cell (a keyring's number); a changed status is news.
        states = [[(layer.name, layer.status) for layer in known] for known in (self.proof, layers)]
        is_news = not self.is_proven or states[0] != states[1]
        self.proof, self.is_proven = layers, True
        return is_news

    def layers(self) -> list[Layer]:
        """Every layer of this server, the strongest claim first; for people and for ``/healthz``."""
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
        found += self.proof
        # Stated, because nothing stops them: an operator has to know.
        found.append(Layer("file-locks", "absent", "locks on shared read-only files are a covert channel"))
        found.append(Layer("page-cache", "absent", "cells share the page cache of the libraries"))
        return found


def budget_of(limits: CellLimits) -> Budget:
    """The cgroup limits of a function."""
    kernel_bytes = memory_policy.kernel_bytes(limits.memory_bytes, limits.tmp_bytes)
    return Budget(kernel_bytes, limits.processes, limits.cpu)


# For a cell that only has to prove its lock-down: the least of everything.
PROOF_LIMITS = CellLimits(
    tmp_bytes=1 << 20, open_files=64, processes=8, memory_bytes=128 << 20, cpu=1.0, is_fresh=False
)
