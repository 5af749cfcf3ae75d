"""The warden's life: take the listener, start zygotes and fronts, serve leases, drain, end.

Everything it starts ends with it: zygotes, gunicorn and every cell's pid 1 have a death signal on
it, and cells also see its end of their set-up socket close.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import resource
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from supervisor import signals
from supervisor.errors import ConfigurationError
from supervisor.front_start import FrontStart
from supervisor.function_limits import FILES
from supervisor.link_messages import Layers
from supervisor.link_records import CellEnd
from supervisor.runtimes import Runtime, load_runtimes
from supervisor.settings import reloading
from supervisor.settings.declarations import Settings
from supervisor.warden import fronts as fronts_
from supervisor.warden.cells import uid_pool
from supervisor.warden.cells.cell_folders import Rooms, readable_paths
from supervisor.warden.cells.code_mount import Bundles
from supervisor.warden.cells.confinement import Confinement
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.descriptor_limit import raise_descriptor_limit
from supervisor.warden.fronts import Fronts
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import cgroups as cgroups_
from supervisor.warden.jail.cgroup_hierarchies import Place, own_places
from supervisor.warden.jail.cgroups import Cgroups
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch.front_standby import StandBy
from supervisor.warden.launch.launcher import Launch
from supervisor.warden.launch.zygote_prestart import FirstZygote, Wanted
from supervisor.warden.leases.desk import Desk
from supervisor.warden.memory import host_budget
from supervisor.warden.memory.counter_check import Agreement
from supervisor.warden.processes import Children
from supervisor.warden.reload import Tuning
from supervisor.warden.supply.registry import Registry
from supervisor.warden.survey_rounds import Surveys

log = logging.getLogger("cellblock.warden")

# Cells that were killed at shutdown are reaped within this; the kernel tears their memory down.
REAP_SECONDS = 5.0
# For the kernel without memory: cells go first, then zygotes, then fronts, and this process last.
OOM_SCORE = -900
# From readiness to the zygotes and spare cells that no caller waits for yet: the first answers come before.
SETTLE_S = 0.25


def within_the_host(settings: Settings) -> Settings:
    """The settings, with ceilings for open files that the host lets a cell have.

    Cells inherit the server's hard limit and can only lower it: a deploy that asks for more is told
    so, instead of a cell that cannot be tied.  What they have open together is the host's to bear.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceilings = {
        **settings.all_ceilings,
        FILES: host_budget.sums_of(settings, host_budget.read_host(our_places())).files,
    }
    if hard != resource.RLIM_INFINITY:
        ceilings["open_files"] = min(ceilings["open_files"], hard)
    return replace(settings, ceilings=ceilings)


def our_places() -> dict[str, Place]:
    """Where this process is in each hierarchy."""
    with open("/proc/self/cgroup") as groups, open("/proc/self/mountinfo") as mounts:
        return own_places(groups.read(), mounts.read())


def _real_folder(path: Path, mode: int) -> None:
    """Make it if there is nothing.  ConfigurationError for a link or a file: the fronts can make those."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise ConfigurationError(
            f"cannot serve: {path} is no folder, or a link to one; find out who made it so, and remove it"
        )


OnReady = Callable[[], Awaitable[None]]


def harden(tier: Tier) -> None:
    """What the warden does to itself before anything hostile exists; while it has one thread."""
    if tier is Tier.A_USER:
        # An ordinary user may make a detached mount of a bundle only in namespaces of its own.
        sys_.enter_user_namespace(sys_.CLONE_NEWNS)
        sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    sys_.prctl(sys_.PR_SET_CHILD_SUBREAPER, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))  # 1: a core_pattern that is a pipe ignores 0
    os.umask(0o077)
    sys_.last_to_be_killed(OOM_SCORE, 0)


class Warden:
    """One server, in the tier that was found and allowed (``supervisor.warden.jail.tiers``)."""

    def __init__(
        self,
        settings: Settings,
        admin_token: str,
        tier: Tier,
        findings: Mapping[str, Finding],
        read_settings: Callable[[], Settings],
        front: StandBy,
        first_zygotes: Mapping[Wanted, FirstZygote],
    ) -> None:
        """``read_settings()`` reads them again, at SIGHUP; ConfigurationError.  ``front`` stands by."""
        self._front, self._first_zygotes = front, first_zygotes
        self._given, self._read_settings = settings, read_settings
        self._settings = settings = within_the_host(settings)
        self._tier = tier
        self._findings = findings
        self._token_digest = hashlib.sha256(admin_token.encode()).hexdigest()
        self.runtimes = self._installed(settings)
        self.front_uid, self.front_gid = uid_pool.front_ids(settings.user)
        self._is_ready = asyncio.Event()
        self._stop = asyncio.Event()
        self.address = ("", 0)

    @staticmethod
    def _installed(settings: Settings) -> tuple[Runtime, ...]:
        runtimes = load_runtimes(settings.runtimes_dir, settings.default_runtime)
        if not runtimes:
            raise ConfigurationError(
                f"no runtime is installed in {settings.runtimes_dir}; run: cellblock runtimes install"
            )
        return runtimes

    def prepare_data_dir(self) -> None:
        """The folders of the data directory with their owners; idempotent."""
        data_dir, front_dir = self._settings.data_dir, self._settings.front_dir
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(0o755)  # whatever the umask is; what is private in it is so by itself
        self._lock(data_dir)
        front_dir.mkdir(exist_ok=True, mode=0o700)
        _real_folder(front_dir / "bundles", 0o755)
        owner = front_dir.stat().st_uid
        if owner != self.front_uid:
            # The operator changed the setting ``user``: what the fronts own follows, and nothing else.
            for _, folders, files, descriptor in os.fwalk(front_dir):
                for name in (".", *folders, *files):
                    if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid == owner:
                        to = (self.front_uid, self.front_gid)
                        os.chown(name, *to, dir_fd=descriptor, follow_symlinks=False)

    def _lock(self, data_dir: Path) -> None:
        """One server for one data directory: what it finds of another there is a dead one's, to be removed.

        The kernel unlocks it when this process ends, however it does.
        """
        self._data_fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._data_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"cannot serve: another server uses {data_dir}; stop it, or choose another --data-dir"
            ) from None

    async def run(self, on_ready: OnReady) -> None:
        """Serve until SIGTERM or SIGINT; ``on_ready`` runs once, when the first call could be served."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        had_terminal = has_terminal()
        harden(self._tier)
        raise_descriptor_limit(settings.max_cells)
        self.prepare_data_dir()
        listener = self._listen()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        children = self.children = Children(self._first_zygotes)
        children.start_reaping(loop)
        cgroups = self._cgroups()
        confinement = self._confinement(cgroups, children)
        desk = Desk(confinement.bundles, settings.queue_seconds, settings.all_ceilings)
        desk.registry = self._registry = registry = self._make_registry(desk, confinement, children)
        children.no_more_of_the_start()
        registry.prove()
        tuning = self._tuning(desk, registry, confinement)
        Surveys(desk, registry)
        agreement = Agreement(lambda: list(registry.cells.values()))
        agreement.start()

        def hung_up() -> None:
            if had_terminal and not has_terminal():
                self._stop.set()  # nobody looks any more, and nobody is left to press Ctrl-C
            else:
                tuning.reload()

        loop.add_signal_handler(signal.SIGHUP, hung_up)

        def joined(sock: socket.socket, pidfd: int) -> None:
            desk.join(sock, pidfd)
            self._look_if_ready(desk)

        fronts = Fronts(
            children=children,
            listener=listener,
            launch=self._front_launch,
            on_join=joined,
            first=self._front,
        )
        try:
            await self._until_stopped(on_ready)
        finally:
            drain_seconds = self._settings.drain_seconds  # as it is now
            log.info("draining: running calls have %.0f s", drain_seconds)
            await fronts.stop(drain_seconds)
            agreement.stop()
            registry.stop()
            await self._until_reaped(registry)
            desk.close()
            listener.close()
            confinement.close()
            cgroups.close()
        if confinement.breach:
            raise ConfigurationError(f"cannot serve: this host does not hold a cell: {confinement.breach}")

    def _listen(self) -> socket.socket:
        try:
            listener = fronts_.listening_socket(*self._settings.host_and_port)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {self._settings.bind}: {error.strerror or error}; choose another --bind"
            ) from None
        self.address = listener.getsockname()[:2]
        return listener

    def _make_registry(self, desk: Desk, confinement: Confinement, children: Children) -> Registry:
        settings = self._settings
        first_id = uid_pool.first_id(settings.data_dir, settings.cell_uid_base)

        def layers_changed() -> None:
            desk.publish(Layers(confinement.layers()))
            if confinement.breach and not self._is_ready.is_set():
                self._stop.set()  # nothing was served yet, and nothing will be
            self._look_if_ready(desk)

        return Registry(
            self.runtimes,
            preload=settings.preload,
            huge_pages=settings.huge_pages,
            blank_cells=settings.blank_cells,
            blank_most=settings.blank_cells_most,
            slots=uid_pool.Slots(first_id, settings.max_cells),
            confinement=confinement,
            children=children,
            shares=desk.shares,
            on_end=lambda cell, ending: self._cell_ended(desk, cell, ending),
            on_mend=desk.mend,
            on_met=desk.met,
            on_change=lambda: self._look_if_ready(desk),
            on_layers=layers_changed,
        )

    def _tuning(self, desk: Desk, registry: Registry, confinement: Confinement) -> Tuning:
        def changed(settings: Settings, runtimes: tuple[Runtime, ...]) -> None:
            self._settings = settings
            if confinement.rooms is not None:
                confinement.readable = readable_of(runtimes, confinement.rooms)

        return Tuning(
            self._given,
            self._read_settings,
            desk,
            registry,
            within_the_host=within_the_host,
            make_room=raise_descriptor_limit,
            on_change=changed,
        )

    def _confinement(self, cgroups: Cgroups, children: Children) -> Confinement:
        tier, run_dir = self._tier, self._settings.data_dir / "run"
        folder, nothing = self._settings.front_dir.resolve() / "bundles", self._settings.data_dir / "nothing"
        bundles = Bundles(folder, tier.has_namespaces, nothing if tier is Tier.A else None)
        if tier.has_namespaces:
            return Confinement(tier, cgroups, self._findings, bundles, None, {})
        children.sweeps = True
        rooms = Rooms(run_dir.resolve(), tier, children)
        readable = readable_of(self.runtimes, rooms)
        return Confinement(tier, cgroups, self._findings, bundles, rooms, readable)

    def _cgroups(self) -> Cgroups:
        """The server's own group."""
        places = our_places()
        family = [self._front.pid, *(first.pid for first in self._first_zygotes.values())]
        cgroups = Cgroups(cgroups_.name_of(self._settings.data_dir), places, family)
        most = host_budget.sums_of(self._settings, host_budget.read_host(places))
        cgroups.bound(most.processes, most.memory_bytes)
        return cgroups

    async def _until_stopped(self, on_ready: OnReady) -> None:
        stopped = asyncio.ensure_future(self._stop.wait())
        ready = asyncio.ensure_future(self._is_ready.wait())
        await asyncio.wait({stopped, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._is_ready.is_set():
            await on_ready()
            asyncio.get_running_loop().call_later(SETTLE_S, self._registry.settle)
        ready.cancel()
        await stopped

    async def _until_reaped(self, registry: Registry) -> None:
        deadline = asyncio.get_running_loop().time() + REAP_SECONDS
        while registry.cells or registry.stock.pids or self.children.strays():
            if asyncio.get_running_loop().time() > deadline:
                log.error("%d cells were not reaped within %.0f s", len(registry.cells), REAP_SECONDS)
                return
            await asyncio.sleep(0.005)

    def _cell_ended(self, desk: Desk, cell: Cell, ending: CellEnd) -> None:
        desk.ended(cell, ending)
        if ending.cause == "exited" and ending.signal:
            log.info("cell %s was ended by %s", cell.name, signals.name_of(ending.signal))

    def _look_if_ready(self, desk: Desk) -> None:
        if len(desk.sessions) >= self._settings.workers and self._registry.is_ready():
            self._is_ready.set()

    def _front_launch(self) -> tuple[Launch, FrontStart]:
        """What the fronts become, and what they are told."""
        settings = self._settings
        start = FrontStart(
            reloading.for_a_new_front(settings),
            self._token_digest,
            [runtime.name for runtime in self.runtimes],
        )
        mounts = self._findings["mounts-as-root" if os.geteuid() == 0 else "mounts"]
        front_dir = settings.front_dir.resolve()
        return fronts_.launch_of(front_dir, self.front_uid, self.front_gid, start, mounts.works), start


def readable_of(runtimes: Iterable[Runtime], rooms: Rooms) -> dict[str, list[str]]:
    """What cells without a root of their own may read, by runtime."""
    return {
        runtime.name: readable_paths(
            [*map(str, runtime.host_dirs), str(runtime.libraries), str(rooms.code_dir)]
        )
        for runtime in runtimes
    }


def has_terminal() -> bool:
    """Whether a terminal controls this process now."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
