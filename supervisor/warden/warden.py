"""The warden's life: listens, starts zygotes and fronts, serves leases, drains, and ends.

Every process that the warden starts ends with it.  Zygotes, gunicorn and each cell's pid 1 have a death
signal set on it, and cells also notice when the warden's end of their set-up socket closes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from supervisor import signals
from supervisor.errors import ConfigurationError
from supervisor.front_start import FrontStart
from supervisor.function_limits import FILES
from supervisor.link_messages import Layers
from supervisor.link_records import CellEnd
from supervisor.runtimes import Runtime, load_runtimes
from supervisor.settings import front_settings
from supervisor.settings.declarations import Settings
from supervisor.warden import fronts as fronts_
from supervisor.warden.admin_token import AdminToken, TokenRounds, digest_of
from supervisor.warden.cells import uid_pool
from supervisor.warden.cells.bare_cell_folders import BareCellFolders
from supervisor.warden.cells.code_mount import Bundles
from supervisor.warden.cells.confinement import Confinement
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.fronts import Fronts
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import cgroups as cgroups_
from supervisor.warden.jail import id_maps
from supervisor.warden.jail.cgroup_hierarchies import read_own_places
from supervisor.warden.jail.cgroups import Cgroups
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch.front_standby import FrontStandby
from supervisor.warden.launch.launcher import Launch
from supervisor.warden.launch.zygote_prestart import PrestartedZygote, ZygoteKey
from supervisor.warden.leases.desk import Desk
from supervisor.warden.memory.counter_check import CounterCheck
from supervisor.warden.metrics.metric_rounds import CellsMost, MetricRounds
from supervisor.warden.processes import Children
from supervisor.warden.reload import SettingsReload
from supervisor.warden.startup import data_dir, resource_budget
from supervisor.warden.startup.descriptor_limit import raise_descriptor_limit
from supervisor.warden.supply.registry import Registry
from supervisor.warden.survey_rounds import Surveys

log = logging.getLogger("cellblock.warden")

# At shutdown: how long to wait for killed cells to be reaped, while the kernel frees their memory.
REAP_SECONDS = 5.0
# From readiness until the other zygotes and spare cells start: the first calls get the processor first.
SETTLE_S = 0.25


def within_the_host(settings: Settings) -> Settings:
    """The settings, with the ceilings of open files lowered to what the host allows a cell.

    A cell inherits the server's hard limit and can only lower it.  With the lower ceiling a deploy that asks
    for more is refused; without it, its cells could not be tied.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceilings = {
        **settings.all_ceilings,
        FILES: resource_budget.budget_for(settings, resource_budget.read_host(read_own_places())).files,
    }
    if hard != resource.RLIM_INFINITY:
        ceilings["open_files"] = min(ceilings["open_files"], hard)
    return replace(settings, ceilings=ceilings)


OnReady = Callable[[], Awaitable[None]]


def harden(tier: Tier) -> None:
    """Restrict the warden itself, before anything hostile runs and while it has one thread."""
    if tier is Tier.A_USER:
        # An ordinary user may make detached mounts only in a user and mount namespace of its own.
        sys_.enter_user_namespace(sys_.CLONE_NEWNS)
        sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    sys_.prctl(sys_.PR_SET_CHILD_SUBREAPER, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))  # not 0: a core_pattern that is a pipe ignores 0
    os.umask(0o077)
    sys_.set_oom_score(sys_.WARDEN_OOM_SCORE, 0)


class Warden:
    """One server, in the tier that ``start_check`` allowed."""

    def __init__(
        self,
        settings: Settings,
        token: AdminToken,
        tier: Tier,
        findings: Mapping[str, Finding],
        read_settings: Callable[[], Settings],
        front: FrontStandby,
        first_zygotes: Mapping[ZygoteKey, PrestartedZygote],
    ) -> None:
        """``read_settings()`` reads them again on SIGHUP, and may raise ConfigurationError.

        ``front`` and ``first_zygotes`` are processes that were started early and wait to be told what to run.
        """
        self._front, self._first_zygotes = front, first_zygotes
        self._given, self._read_settings = settings, read_settings
        self._settings = settings = within_the_host(settings)
        self._tier = tier
        self._findings = findings
        self._token = token
        secret = settings.metrics_token
        self._metrics_digest = digest_of(secret) if secret is not None else ""
        self.runtimes = self._installed(settings)
        self._mapped = id_maps.read()
        self.front_uid, self.front_gid = uid_pool.front_ids(settings.user, self._mapped)
        self._is_ready = asyncio.Event()
        self._stop = asyncio.Event()
        self.address = ("", 0)
        self._cells_memory_bytes = 0
        self._is_unusable = False
        self._metrics: MetricRounds | None = None

    @staticmethod
    def _installed(settings: Settings) -> tuple[Runtime, ...]:
        runtimes = load_runtimes(settings.runtimes_dir, settings.default_runtime)
        if not runtimes:
            raise ConfigurationError(
                f"no runtime is installed in {settings.runtimes_dir}; run once: cellblock setup"
            )
        return runtimes

    async def run(self, on_ready: OnReady) -> None:
        """Serve until SIGTERM or SIGINT.  ``on_ready`` runs once, when the first call can be served."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        had_terminal = has_terminal()
        harden(self._tier)
        raise_descriptor_limit(settings.max_cells)
        self._data_fd = data_dir.prepare(settings, self.front_uid, self.front_gid)
        listener = self._listen()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        children = self.children = Children(self._first_zygotes)
        children.start_reaping(loop)
        cgroups = self._cgroups()
        confinement = self._confinement(cgroups, children)
        desk = Desk(confinement.bundles, settings.queue_seconds, settings.all_ceilings)
        desk.registry = self._registry = registry = self._make_registry(desk, confinement, children)
        children.release_first()
        registry.prove()
        settings_reload = self._settings_reload(desk, registry, confinement)
        self._metrics = MetricRounds(desk, registry, self._cells_most, settings.metrics_functions)
        Surveys(desk, registry, self._metrics)
        counter_check = CounterCheck(lambda: list(registry.cells.values()))
        counter_check.start()

        def hung_up() -> None:
            if had_terminal and not has_terminal():
                self._stop.set()  # the terminal was closed: nobody could press Ctrl-C
            else:
                settings_reload.reload()

        loop.add_signal_handler(signal.SIGHUP, hung_up)

        def joined(sock: socket.socket, pidfd: int) -> None:
            desk.join(sock, pidfd)
            self._look_if_ready(desk)

        fronts = Fronts(
            children=children,
            listener=listener,
            launch=self._front_launch,
            on_join=joined,
            on_unusable=self._cannot_serve,
            first=self._front,
        )
        try:
            await self._until_stopped(on_ready)
        finally:
            drain_seconds = self._settings.drain_seconds  # the current value; SIGHUP may have changed it
            log.info("draining: running calls have %.0f s", drain_seconds)
            await fronts.stop(drain_seconds)
            counter_check.stop()
            registry.stop()
            await self._until_reaped(registry)
            desk.close()
            listener.close()
            confinement.close()
            cgroups.close()
        self._say_why_it_never_served(confinement.breach)

    def _say_why_it_never_served(self, breach: str) -> None:
        if breach:
            raise ConfigurationError(f"cannot serve: this host does not hold a cell: {breach}")
        if self._is_unusable:
            raise ConfigurationError("cannot serve: the store cannot be used; the line above says why")

    def _cannot_serve(self) -> None:
        self._is_unusable = True
        self._stop.set()

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
        ids = self._cell_ids()

        def layers_changed() -> None:
            desk.publish(Layers(confinement.layers()))
            if confinement.breach and not self._is_ready.is_set():
                self._stop.set()  # nothing was served yet: do not start
            self._look_if_ready(desk)

        return Registry(
            self.runtimes,
            preload=settings.preload,
            huge_pages=settings.huge_pages,
            blank_cells=settings.blank_cells,
            blank_most=settings.blank_cells_most,
            slots=uid_pool.UidPool(ids, settings.max_cells),
            confinement=confinement,
            children=children,
            shares=desk.shares,
            on_end=lambda cell, ending: self._cell_ended(desk, cell, ending),
            on_mend=desk.mend,
            on_met=desk.met,
            on_change=lambda: self._look_if_ready(desk),
            on_layers=layers_changed,
        )

    def _cell_ids(self) -> range:
        """The user ids of the cells; in tiers where cells share the server's, only their number counts."""
        settings = self._settings
        if self._tier not in (Tier.A, Tier.B):
            return range(uid_pool.RANGE_FIRST, uid_pool.RANGE_FIRST + uid_pool.BLOCK_IDS)
        ids = uid_pool.cell_ids(settings.data_dir, settings.cell_uid_base, self.front_uid, self._mapped)
        room = len(ids) // uid_pool.IDS_PER_CELL
        if room < settings.max_cells:
            log.warning(
                "%d cells at once, not max_cells (%d): this user namespace has no more user ids",
                room,
                settings.max_cells,
            )
        return ids

    def _settings_reload(self, desk: Desk, registry: Registry, confinement: Confinement) -> SettingsReload:
        def changed(settings: Settings, runtimes: tuple[Runtime, ...]) -> None:
            self._settings = settings
            if confinement.bare_cell_folders is not None:
                confinement.readable = confinement.bare_cell_folders.readable_by(runtimes)

        # Before the settings are told: a front answers once it has heard those.
        tokens = TokenRounds(self._settings.data_dir, self._token, desk)
        return SettingsReload(
            self._given,
            self._read_settings,
            desk,
            registry,
            tokens,
            within_the_host=within_the_host,
            raise_limit=raise_descriptor_limit,
            on_change=changed,
        )

    def _confinement(self, cgroups: Cgroups, children: Children) -> Confinement:
        tier, run_dir = self._tier, self._settings.data_dir / "run"
        folder, nothing = self._settings.front_dir.resolve() / "bundles", self._settings.data_dir / "nothing"
        bundles = Bundles(folder, tier.has_namespaces, nothing if tier is Tier.A else None)
        if tier.has_namespaces:
            return Confinement(tier, cgroups, self._findings, bundles, None, {})
        children.sweeps = True
        bare_cell_folders = BareCellFolders(run_dir.resolve(), tier, children)
        readable = bare_cell_folders.readable_by(self.runtimes)
        return Confinement(tier, cgroups, self._findings, bundles, bare_cell_folders, readable)

    def _cgroups(self) -> Cgroups:
        """The server's cgroups, with the limits of all cells together."""
        places = read_own_places()
        own_pids = [self._front.pid, *(first.pid for first in self._first_zygotes.values())]
        cgroups = Cgroups(cgroups_.group_name(self._settings.data_dir), places, own_pids)
        most = resource_budget.budget_for(self._settings, resource_budget.read_host(places))
        cgroups.limit_all_cells(most.processes, most.memory_bytes)
        self._cells_memory_bytes = most.memory_bytes
        return cgroups

    def _cells_most(self) -> CellsMost:
        return CellsMost(self._settings.max_cells, self._cells_memory_bytes)

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
        while registry.cells or registry.zygotes.pids or self.children.strays():
            if asyncio.get_running_loop().time() > deadline:
                log.error("%d cells were not reaped within %.0f s", len(registry.cells), REAP_SECONDS)
                return
            await asyncio.sleep(0.005)

    def _cell_ended(self, desk: Desk, cell: Cell, ending: CellEnd) -> None:
        desk.ended(cell, ending)
        if self._metrics is not None:  # else the server has just begun
            self._metrics.cell_ended(ending)
        if ending.cause == "exited" and ending.signal:
            log.info("cell %s was ended by %s", cell.name, signals.name_of(ending.signal))

    def _look_if_ready(self, desk: Desk) -> None:
        if len(desk.sessions) >= self._settings.workers and self._registry.is_ready():
            self._is_ready.set()

    def _front_launch(self) -> tuple[Launch, FrontStart]:
        """gunicorn's launch, and what it is told to start with."""
        settings = self._settings
        start = FrontStart(
            front_settings.for_a_new_front(settings),
            self._metrics_digest,
            [runtime.name for runtime in self.runtimes],
            self._tier.value,
        )
        mounts = self._findings["mounts-as-root" if os.geteuid() == 0 else "mounts"]
        front_dir = settings.front_dir.resolve()
        return fronts_.front_launch_of(front_dir, self.front_uid, self.front_gid, start, mounts.works), start


def has_terminal() -> bool:
    """Whether this process has a controlling terminal now."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
