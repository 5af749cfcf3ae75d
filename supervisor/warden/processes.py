"""Children of the warden: started here, reaped here, and nowhere else.

One loop reaps.  Cells are our children too (their zygote clones them with CLONE_PARENT), and as the
subreaper we inherit whatever loses its parent below us.
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
from supervisor.warden.all_steps import Incomplete, all_of
from supervisor.warden.launch.launcher import Launch
from supervisor.warden.launch.zygote_prestart import FirstZygote, Wanted

log = logging.getLogger("cellblock.warden")

OnExit = Callable[[int], None]


class Children:
    """Knows what to call when a child ends, by pid; a pid is ours until it is reaped."""

    def __init__(self, first: Mapping[Wanted, FirstZygote]) -> None:
        """``first`` were started before there was a loop; whoever wants one like that takes it."""
        self.first = dict(first)
        self._on_exit: dict[int, OnExit] = {}
        # Without pid namespaces what a cell leaves behind comes to us, the subreaper, to be ended.
        self.sweeps = False
        self._expected = 0
        # Reaped before the zygote's word on them was read: they end as soon as they are adopted.
        self._early: dict[int, int] = {}
        # Called after an end that went wrong; wired by whoever has accounts of the living.
        self.mend: Callable[[], None] = lambda: None

    def start_reaping(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on SIGCHLD is ours."""
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def launch(self, launch: Launch, descriptors: Sequence[int], on_exit: OnExit) -> int:
        """Start a launcher that inherits ``descriptors`` under the same numbers; returns its pid."""
        process = subprocess.Popen(
            launch.command(),
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            env={},
            cwd="/",
            # Ctrl-C at a terminal goes to the whole group: it is for the warden, which drains.
            start_new_session=True,
        )
        # The object must neither wait nor warn: reap() below is the only one that waits.
        process.returncode = 0
        self.adopt(process.pid, on_exit)
        return process.pid

    def no_more_of_the_start(self) -> None:
        """Who was not wanted ends: nobody holds the other end of its socket any more."""
        for first in self.first.values():
            first.sock.close()
        self.first.clear()

    def adopt(self, pid: int, on_exit: OnExit) -> None:
        """Call ``on_exit(wait status)`` when this child has been reaped."""
        self._on_exit[pid] = on_exit
        if pid in self._early:
            asyncio.get_running_loop().call_soon(self.ended, pid, self._early.pop(pid))

    def has(self, pid: int) -> bool:
        """Whether this child was adopted and has not been reaped."""
        return pid in self._on_exit

    def expect(self, number: int) -> None:
        """A zygote was asked for so many more cells; until they are adopted they look like strays."""
        self._expected += number
        if not self._expected:
            self._early.clear()
        if self.sweeps and not self._expected:
            self._sweep()

    def reap(self) -> None:
        """Collect every dead child; those nobody adopted were orphans of the fronts' or zygotes'."""
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
        """A wait status of one child: never raises, for the next one's end is to be heard of too."""
        if how_ended(status) is None:
            return  # stopped, or going on
        on_exit = self._on_exit.pop(pid, None)
        if on_exit is None:
            if self._expected:
                self._early[pid] = status
            return
        try:
            all_of(f"process {pid}", lambda: on_exit(status))
        except Incomplete:
            # It is gone, whatever became of its account.
            with contextlib.suppress(Incomplete):
                all_of(f"process {pid}, accounts", self.mend)

    def strays(self) -> list[int]:
        """Children that nobody here started; only where they are ours to end."""
        if not self.sweeps:
            return []
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            return [pid for pid in map(int, children.read().split()) if pid not in self._on_exit]

    def _sweep(self) -> None:
        """Kill every stray; each one's end brings us back here."""
        for pid in self.strays():
            signal_pid(pid, signal.SIGKILL)


def signal_pid(pid: int, number: int) -> None:
    """Signal a child that has not been reaped yet; one that is just exiting is left alone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
