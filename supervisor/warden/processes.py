"""The warden's child processes: this module alone starts and reaps them.

Cells are children of the warden too, because their zygote clones them with CLONE_PARENT.  The warden is also
the subreaper: it inherits every process below it whose parent ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from supervisor.signals import how_ended
from supervisor.warden.all_steps import StepsFailed, take_all_steps
from supervisor.warden.launch.launcher import Launch
from supervisor.warden.launch.zygote_prestart import PrestartedZygote, ZygoteKey

log = logging.getLogger("cellblock.warden")

OnExit = Callable[[int], None]


class Children:
    """Maps each child's pid to the function to call when it ends.  A pid stays ours until it is reaped."""

    def __init__(self, first: Mapping[ZygoteKey, PrestartedZygote]) -> None:
        """``first`` are zygotes that were started before the event loop; ``Zygote`` takes them from here."""
        self.first = dict(first)
        self._on_exit: dict[int, OnExit] = {}
        # Without pid namespaces a cell's orphans become ours, because we are the subreaper: kill them.
        self.sweeps = False
        # Cells that zygotes were asked for and that are not adopted yet.
        self._expected = 0
        # Cells that were reaped before their zygote's answer was read: pid and wait status.  They end as soon
        # as they are adopted.
        self._early: dict[int, int] = {}
        # Called after ``on_exit`` failed, to make the accounts right again; the registry sets it.
        self.mend: Callable[[], None] = lambda: None

    def start_reaping(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reap on each SIGCHLD from now on."""
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def launch(self, launch: Launch, descriptors: Sequence[int], on_exit: OnExit) -> int:
        """Start a launcher that inherits ``descriptors`` under the same numbers.  Returns its pid."""
        process = subprocess.Popen(
            launch.command(),
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            env={},
            cwd="/",
            # Ctrl-C at a terminal signals the whole process group; only the warden shall get it, and drain.
            start_new_session=True,
        )
        # The Popen object must neither wait nor warn: only reap() waits.
        process.returncode = 0
        self.adopt(process.pid, on_exit)
        return process.pid

    def release_first(self) -> None:
        """Let the early zygotes that nobody took end, by closing our end of their sockets."""
        for first in self.first.values():
            first.sock.close()
        self.first.clear()

    def adopt(self, pid: int, on_exit: OnExit) -> None:
        """Call ``on_exit(wait status)`` once this child has been reaped."""
        self._on_exit[pid] = on_exit
        if pid in self._early:
            asyncio.get_running_loop().call_soon(self.ended, pid, self._early.pop(pid))

    def has(self, pid: int) -> bool:
        """Whether this child was adopted and has not been reaped yet."""
        return pid in self._on_exit

    def expect(self, number: int) -> None:
        """A zygote was asked for this many more cells.  Until they are adopted they look like strays."""
        self._expected += number
        if not self._expected:
            self._early.clear()
        if self.sweeps and not self._expected:
            self._sweep()

    def reap(self) -> None:
        """Reap every dead child.  One that nobody adopted was an orphan of a front or a zygote."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            self.ended(pid, status)
        if self.sweeps and not self._expected:
            self._sweep()

    def ended(self, pid: int, status: int) -> None:
        """Handle one child's wait status.  Never raises, so that ``reap`` goes on to the next child."""
        if how_ended(status) is None:
            return  # stopped or continued, not ended
        on_exit = self._on_exit.pop(pid, None)
        if on_exit is None:
            if self._expected:
                self._early[pid] = status
            return
        try:
            take_all_steps(f"process {pid}", lambda: on_exit(status))
        except StepsFailed:
            # The process is gone, so the accounts must not keep it.
            with contextlib.suppress(StepsFailed):
                take_all_steps(f"process {pid}, accounts", self.mend)

    def strays(self) -> list[int]:
        """Children that were never adopted; empty unless ``sweeps``."""
        if not self.sweeps:
            return []
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            return [pid for pid in map(int, children.read().split()) if pid not in self._on_exit]

    def _sweep(self) -> None:
        """Kill every stray.  Reaping one calls this again, until none is left."""
        for pid in self.strays():
            signal_pid(pid, signal.SIGKILL)


def signal_pid(pid: int, number: int) -> None:
    """Signal a child that has not been reaped yet.  One that is already exiting is left alone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
