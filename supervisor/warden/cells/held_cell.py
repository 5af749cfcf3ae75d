"""One cell as the warden holds it: its state, a handle of its pid 1, its ends of the pipes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from supervisor.datagrams import Link, LinkClosed, pair
from supervisor.link_records import CellEnd, CellLimits
from supervisor.signals import how_ended
from supervisor.warden.all_steps import take_all_steps
from supervisor.warden.cells.cell_states import CellEvent, CellState, next_state
from supervisor.warden.cells.code_mount import BundleCode
from supervisor.warden.cells.confinement import CellKind, Confinement, budget_of
from supervisor.warden.jail import cgroup_members
from supervisor.warden.jail._host_syscalls import CELL_OOM_SCORE
from supervisor.warden.jail.cgroup_hierarchies import write
from supervisor.warden.jail.cgroups import Leaf
from supervisor.warden.leases.pipe_ends import Pipes, five_pipes
from supervisor.warden.memory import memory_guard
from supervisor.warden.memory.memory_guard import Excess
from supervisor.warden.memory.memory_meters import Meter
from supervisor.warden.memory.open_files import FileOpener
from supervisor.warden.processes import Children
from supervisor.warden.supply.zygote_handle import Zygote
from worker import setup_messages
from worker.wire import EXIT_OUT_OF_MEMORY
from worker.zygote_messages import Spawn

log = logging.getLogger("cellblock.cell")
# What a caller is told of a memory limit: what was counted, and how.
TOUCHED = "in all of its processes together, without its files in /tmp"
HELD = "and with its files in /tmp, its pipes and sockets it had all that the kernel lets it have"
OF_ALL = "and the host has no more for all functions together"
SEEN = f"a soft limit on this host: {memory_guard.EVIDENCE}"
# From the request to the zygote until the cell is blank; ten times what a loaded machine needs.
GROW_SECONDS = 15.0
# From the tie to the cell's proof; a few milliseconds when nothing is wrong.
TIE_SECONDS = 15.0
NAMESPACED_SIGNALS = frozenset({"freeze", "thaw"})
# The cell's inner ids; worker.sandbox.lockdown becomes them in this order.
INNER_ROOT, INNER_TENANT = 0, 1000


class Hooks(NamedTuple):
    """Called with a cell when something happens to it.  ``on_end`` always comes, once, and last."""

    on_blank: Callable[[Cell], None]
    on_tied: Callable[[Cell, list[setup_messages.ProvenLayer]], None]
    on_breach: Callable[[str], None]  # with the reason
    # The limit that it met, or "" when its memory only has a new peak; and that peak in bytes.
    on_met: Callable[[Cell, str, int], None]
    on_end: Callable[[Cell, CellEnd], None]


class Cell:
    """Grown from a zygote, tied once, killed."""

    def __init__(
        self, name: str, kind: CellKind, ids: tuple[int, int], confinement: Confinement, hooks: Hooks
    ) -> None:
        self.name = name
        self.kind = kind
        self.state = CellState.GROWING
        self.pipes = Pipes(-1, -1, -1, -1)
        self.pid = 0
        self.zygote_number = 0  # of the process that it is a copy of
        self._pidfd = -1
        self._ids = ids
        self._confinement = confinement
        self._hooks = hooks
        self._leaf: Leaf | None = None
        self._began = 0.0
        self._ending: CellEnd | None = None
        self._is_cloned = self._is_warm = False
        ours, self._theirs = pair()
        self._setup = Link(
            ours, setup_messages.SETUP, setup_messages.TO_WARDEN, self._heard, self._setup_closed
        )
        self._deadline = self._not_after(GROW_SECONDS, "it was not ready")

    def _took(self, what: str) -> None:
        log.debug("cell %s was %s in %.2f ms", self.name, what, (time.perf_counter() - self._began) * 1e3)

    def _not_after(self, seconds: float, what: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(
            seconds, lambda: self.kill("not started", f"{what} after {seconds:.0f} s")
        )

    # ---- growing ----------------------------------------------------------------------------

    def grow(self, zygote: Zygote, children: Children) -> None:
        """Make its cgroup leaf, then ask the zygote for a process around five new pipes."""
        self._began = time.perf_counter()
        self.zygote_number, self._zygote_pid = zygote.number, zygote.pid
        self._leaf = self._confinement.cgroups.leaf(self.name)
        # In a thread, while the zygote clones: the loop has other cells to serve.
        self._confinement.warm_up().add_done_callback(lambda _: self._groups_are_warm())
        self._confinement.make_folders(self.name, self._ids[1])
        self.pipes, theirs = five_pipes()

        def spawned(pid: int, pidfd: int, error: str) -> None:
            if pid:
                children.adopt(pid, self._reaped)
            children.expect(-1)  # after the adoption: until then it looks like a stray
            if not pid:
                self._ended(CellEnd("not started", reason=error))
                return
            self.pid, self._pidfd = pid, pidfd
            if pidfd < 0:
                self.kill("not started", "the server has no descriptor left for it")
                self._setup.close()  # pid 1 leaves when this hangs up; a number alone is never signalled
            elif self.state is CellState.DYING:
                self._signal()
            self._confine_when_all_is_here()

        try:
            children.expect(+1)
            spawn = Spawn(self.kind.network, self._confinement.tier.value)
            zygote.spawn(spawn, [self._theirs, *theirs], spawned)
        except OSError:
            children.expect(-1)
            raise
        finally:
            self._theirs.close()
            for descriptor in theirs:
                os.close(descriptor)

    def _groups_are_warm(self) -> None:
        self._is_warm = True
        self._confine_when_all_is_here()

    def _confine_when_all_is_here(self) -> None:
        """Put a cell that runs and waits into its cgroups, write its id maps, then let it build.

        Cgroups come first, because pages are charged to the group of whoever touches them first.  Its parent
        writes the maps, because the cell's own /proc files may belong to the host's root.
        """
        is_here = self.pid and self._is_cloned and self._is_warm
        if not is_here or self.state is not CellState.GROWING:
            return
        assert self._leaf is not None
        try:
            self._leaf.join(self.pid)
            if self._confinement.maps_ids:
                self._write_maps()
            with contextlib.suppress(OSError):  # an ordinary user's own /proc files may be root's
                write(f"/proc/{self.pid}/oom_score_adj", str(CELL_OOM_SCORE))
            devices = self._confinement.devices()
            own = os.fstat(devices[0]).st_dev if devices else 0
            try:
                told = self._confinement.surroundings(self.kind, own, self._zygote_pid)
                self._setup.send(told, devices)
            finally:
                for descriptor in devices:
                    os.close(descriptor)
        except (OSError, LinkClosed) as error:
            self.kill("not started", f"it could not be confined: {error}")

    def _write_maps(self) -> None:
        root, tenant = self._ids
        lines = f"{INNER_ROOT} {root} 1\n{INNER_TENANT} {tenant} 1\n"
        # Denied first, or a group could be dropped that a file's mode denies something to.
        for name, text in (("setgroups", "deny"), ("uid_map", lines), ("gid_map", lines)):
            write(f"/proc/{self.pid}/{name}", text)

    # ---- what it says -----------------------------------------------------------------------

    def _heard(self, message: object, _: list[int]) -> None:
        # From pid 1, trusted for ever, and from the worker before the tenant's code: the worker
        # closes its copy of this socket before the import.
        HANDLERS[type(message)](self, message)

    def _setup_closed(self) -> None:
        if self._setup.fault:
            self.kill("not started", f"it broke the protocol of its set-up: {self._setup.fault}")

    def _is_cloned_now(self, _: setup_messages.Cloned) -> None:
        self._is_cloned = True
        self._confine_when_all_is_here()

    def _is_blank_now(self, _: setup_messages.Blank) -> None:
        self._took("grown")
        self.state = next_state(self.state, CellEvent.BUILT)
        self._deadline.cancel()
        if self.state is CellState.BLANK:
            assert self._leaf is not None
            try:
                self._confinement.guard.blank(self.name, self.pid, Meter(self._leaf.folders))
            except OSError as error:  # EMFILE
                self.kill("not started", f"its memory could not be watched: {error}")
                return
            self._hooks.on_blank(self)

    def _is_tied_now(self, tied: setup_messages.Tied) -> None:
        self._took("tied")
        self._deadline.cancel()
        self._hooks.on_tied(self, tied.proof)

    def _is_breached(self, breached: setup_messages.Breached) -> None:
        self._ending = self._ending or CellEnd("breached", reason=breached.reason)
        self._hooks.on_breach(breached.reason)

    def _has_failed(self, failed: setup_messages.StepFailed) -> None:
        reason = f"step {failed.step}: {failed.reason}"
        self._ending = self._ending or CellEnd("not started", reason=reason)

    def _has_exited(self, exited: setup_messages.WorkerExited) -> None:
        self._ending = self._ending or CellEnd("exited", exited.signal, exited.code)

    # ---- tied -------------------------------------------------------------------------------

    def tie(self, limits: CellLimits, code: BundleCode | None) -> None:
        """Set the function's limits and send its code, if it has any.

        LinkClosed when the cell is gone, OSError when a limit cannot be set.
        """
        assert self._leaf is not None
        self._began = time.perf_counter()
        tie = self._confinement.tie(self.name, self.kind, self._ids[1], code, limits)
        self._setup.send(tie, [code.descriptor] if code is not None and tie.has_code else [])
        # The cell is at work from here on, but none of the function's code runs before a front is lent the
        # cell.  So the kernel's limits are set before that, and the guards begin right after it.
        self._leaf.limit(budget_of(limits))
        if not limits.is_fresh:
            self.pipes.close_word()
        asyncio.get_running_loop().call_soon(self._guard, limits)
        self.state = next_state(self.state, CellEvent.TIED)
        self._deadline = self._not_after(TIE_SECONDS, "it had not proven its lock-down")

    def _guard(self, limits: CellLimits) -> None:
        """Watch its memory and its files, unless it has ended."""
        if self._leaf is None:
            return
        hooks = memory_guard.GuardHooks(self._tell, self._has_too_much, self._has_peak, self._met_processes)
        opener = FileOpener(limits.open_files * limits.processes, self._leaf.members, self._has_most_files)
        try:
            self._confinement.guard.watch(self.name, limits.memory_bytes, limits.tmp_bytes, hooks)
            self._confinement.open_files.watch(self.name, opener)
        except Exception as error:  # whatever it was, no function runs that nobody watches
            self.kill("not started", f"it cannot be watched: {error}")

    def returned(self, pipes: list[int]) -> None:
        """Take the cell back from a front, with its pipe ends.  OSError when they cannot be kept."""
        self.pipes.take_back(pipes)
        self.state = next_state(self.state, CellEvent.RETURNED)

    def leased_again(self) -> None:
        """Note that another front has the cell now, for the same version."""
        self.state = next_state(self.state, CellEvent.LEASED_AGAIN)

    def signal(self, name: str) -> None:
        """Have pid 1 send one of ``worker.cell_process.SIGNALS``, unless the cell is ending."""
        if name in NAMESPACED_SIGNALS and not self._confinement.has_namespaces:
            return  # they are for all that runs in the cell's pid namespace
        if self.state in (CellState.LEASED, CellState.RETURNED):
            if name in NAMESPACED_SIGNALS:
                self._confinement.guard.freeze(self.name, name == "freeze")
                if self._leaf is not None and self._leaf.freeze(name == "freeze"):
                    return
            with contextlib.suppress(LinkClosed):  # it is gone, and about to be reaped
                self._setup.send(setup_messages.SendSignal(name))

    # ---- the end ----------------------------------------------------------------------------

    def kill(self, cause: str, reason: str = "") -> None:
        """Kill the whole cell: with pid 1 the kernel ends everything in its pid namespace."""
        if self.state in (CellState.DEAD, CellState.DYING):
            return
        if cause == "memory":
            reason = reason or (TOUCHED if self._confinement.guard.is_counted else SEEN)
        # What pid 1 has already said came first: it is the truth.
        self._setup.drain_now()
        self._ending = self._ending or CellEnd(cause, int(signal.SIGKILL), reason=reason)
        self.state = next_state(self.state, CellEvent.KILLED)
        self._signal()
        log.debug("cell %s was killed (%s) at %.6f", self.name, cause, time.perf_counter())

    def _tell(self, peak_bytes: int) -> None:
        """Raise a MemoryError in the cell, whose memory is at its limit; it serves no further call."""
        self._hooks.on_met(self, "memory", peak_bytes)
        with contextlib.suppress(LinkClosed):  # it is gone, and about to be reaped
            self._setup.send(setup_messages.SendSignal("memory"))

    def _has_too_much(self, peak_bytes: int, excess: Excess) -> None:
        log.info("cell %s had %d MiB of memory", self.name, peak_bytes >> 20)
        self._hooks.on_met(self, "", peak_bytes)
        self.kill("memory", {Excess.HELD: HELD, Excess.OF_ALL: OF_ALL}.get(excess, ""))

    def _has_peak(self, peak_bytes: int) -> None:
        self._hooks.on_met(self, "", peak_bytes)

    def _met_processes(self) -> None:
        self._hooks.on_met(self, "processes", self._confinement.guard.peak(self.name))

    def _signal(self) -> None:
        if self._leaf is not None:
            self._confinement.kill_boost.begin(self._leaf)
            self._leaf.kill()
            if self.pid and self._confinement.has_namespaces:
                cgroup_members.kill(self.pid, self._leaf.processes())
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):  # it is exiting by itself
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _reaped(self, status: int) -> None:
        """Pid 1 has been reaped, so the cell has ended; find out why."""
        take_all_steps(
            f"cell {self.name}",
            self._setup.drain_now,  # "exited" may still be on its way
            lambda: self._find_cause(status),
            lambda: self._ended(self._ending or CellEnd("exited")),
        )

    def _find_cause(self, status: int) -> None:
        if self._ending is None:
            self._ending = CellEnd("exited", *(how_ended(status) or (0, 0)))
        self._ending = self._with_memory(self._ending)

    def _with_memory(self, ending: CellEnd) -> CellEnd:
        """The kernel says whether it was memory: with v2 it kills the whole cell by itself."""
        meter = self.meter()
        kills = meter.kills() if meter is not None else 0
        if meter is not None and kills and ending.cause == "exited" and ending.signal == signal.SIGKILL:
            # Where all cells together met their limit the kernel kills too, and nobody met one of its own.
            ending = ending.replaced(cause="memory", reason=HELD if meter.has_met_its_limit() else OF_ALL)
        elif ending.cause == "exited" and ending.code == EXIT_OUT_OF_MEMORY:
            ending = ending.replaced(cause="memory", reason=TOUCHED)
        return ending.replaced(peak_bytes=self._confinement.guard.peak(self.name, kills))

    def meter(self) -> Meter | None:
        """The kernel's counters of the cell; None without a cgroup."""
        return Meter(self._leaf.folders) if self._leaf is not None else None

    def memory_bytes(self) -> int:
        """The memory of the cell at the last look."""
        return self._confinement.guard.used(self.name)

    def not_grown(self, reason: str) -> None:
        """Bury a cell whose process the zygote could not be asked for."""
        self._ended(CellEnd("not started", reason=reason))

    def _ended(self, ending: CellEnd) -> None:
        if self.state is CellState.DEAD:
            return  # it has been buried since
        take_all_steps(f"cell {self.name}", self.bury, lambda: self._hooks.on_end(self, ending))

    def bury(self) -> None:
        """Nothing of it runs: let go of all that it had.  Safe to be done again."""
        if self.state is not CellState.DEAD:
            self.state = next_state(self.state, CellEvent.EXITED)
        take_all_steps(
            f"cell {self.name}",
            self._deadline.cancel,
            self._theirs.close,  # if it was never handed over
            self._setup.close,
            self._forget_guard,  # before the leaf goes, which would wake it too
            self.pipes.close,
            self._close_pidfd,
            self._drop_leaf,
            lambda: self._confinement.drop_folders(self.name),
        )

    def _has_most_files(self, number: int) -> None:
        self.kill("open files", f"the host is short of open files, and it had {number}")

    def _forget_guard(self) -> None:
        self._confinement.open_files.forget(self.name)
        self._confinement.guard.forget(self.name)

    def _close_pidfd(self) -> None:
        descriptor, self._pidfd = self._pidfd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _drop_leaf(self) -> None:
        leaf, self._leaf = self._leaf, None
        if leaf is not None:
            self._confinement.kill_boost.end(leaf)
            self._confinement.sweep(leaf)


# Everything that a cell may say.
HANDLERS: dict[type, Callable[[Cell, Any], None]] = {
    setup_messages.Cloned: Cell._is_cloned_now,
    setup_messages.Blank: Cell._is_blank_now,
    setup_messages.Tied: Cell._is_tied_now,
    setup_messages.Breached: Cell._is_breached,
    setup_messages.StepFailed: Cell._has_failed,
    setup_messages.WorkerExited: Cell._has_exited,
}
