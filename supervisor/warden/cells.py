"""One cell as the warden holds it: its state, its processes' handles, its ends of the pipes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.datagrams import Link, LinkClosed, Message, pair
from supervisor.warden.states import Event, State, next_state
from supervisor.warden.zygotes import Zygote

log = logging.getLogger("cellblock.cell")

# From the request to the zygote until the cell is blank; ten times what a loaded machine needs.
GROW_SECONDS = 15.0

# The cell's inner ids; worker.lockdown becomes them in this order.
INNER_ROOT, INNER_TENANT = 0, 1000


@dataclass(frozen=True)
class Kind:
    """What blank cells differ in; everything else is decided when they are tied."""

    runtime: str
    network: str


@dataclass(frozen=True)
class Ending:
    """Why and how a cell ended.  ``cause`` is ours if we killed it, else ``exited``."""

    cause: str
    signal: int = 0
    code: int = 0
    reason: str = ""


def _four_pipes() -> tuple[Pipes, list[int]]:
    """Our ends and the cell's of request, reply, stdout and stderr; all or, on OSError, none."""
    made: list[tuple[int, int]] = []
    try:
        for _ in range(4):
            made.append(os.pipe())
    except OSError:
        for pipe in made:
            for descriptor in pipe:
                os.close(descriptor)
        raise
    (request_read, request_write), *to_us = made
    (reply, stdout, stderr) = (read for read, _ in to_us)
    ours = Pipes(request_write, reply, stdout, stderr)
    for descriptor in ours.as_list():
        # Flags of our own ends: a cell shares none of these open file descriptions.
        os.set_blocking(descriptor, False)
    return ours, [request_read, *(write for _, write in to_us)]


@dataclass
class Pipes:
    """The trusted ends: what a front gets with a lease."""

    request: int
    reply: int
    stdout: int
    stderr: int

    def as_list(self) -> list[int]:
        """In the order in which a lease carries them."""
        return [self.request, self.reply, self.stdout, self.stderr]

    def close(self) -> None:
        """Close what is still ours; after it the numbers are nobody's."""
        for descriptor in self.as_list():
            if descriptor >= 0:
                os.close(descriptor)
        self.request = self.reply = self.stdout = self.stderr = -1


class Cell:
    """Grown from a zygote; ``on_blank`` and ``on_end`` are called once each at most."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        ids: tuple[int, int],
        on_blank: Callable[[Cell], None],
        on_end: Callable[[Cell, Ending], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.state = State.GROWING
        self.pipes = Pipes(-1, -1, -1, -1)
        self.pid = 0
        self._pidfd = -1
        self._ids = ids
        self._on_blank = on_blank
        self._on_end = on_end
        self._ending: Ending | None = None
        self._is_cloned = False
        ours, self._theirs = pair()
        self._setup = Link(ours, self._heard, lambda: None)
        self._deadline = asyncio.get_running_loop().call_later(
            GROW_SECONDS, lambda: self.kill("not started", f"it was not ready after {GROW_SECONDS:.0f} s")
        )

    # ---- growing ----------------------------------------------------------------------------

    def grow(self, zygote: Zygote, adopt: Callable[[int, Callable[[int], None]], None]) -> None:
        """Ask the zygote for a process around four fresh pipes."""
        self.pipes, theirs = _four_pipes()

        def spawned(pid: int, pidfd: int, error: str) -> None:
            if not pid:
                self._ended(Ending("not started", reason=error))
                return
            self.pid, self._pidfd = pid, pidfd
            adopt(pid, self._reaped)
            if self.state is State.DYING:
                self._signal()
            self._write_maps_when_both_are_here()

        try:
            zygote.spawn(self.kind.network, [self._theirs, *theirs], spawned)
        finally:
            self._theirs.close()
            for descriptor in theirs:
                os.close(descriptor)

    def _write_maps_when_both_are_here(self) -> None:
        """The parent writes the maps: the cell's own /proc files may belong to the host's root."""
        if not self.pid or not self._is_cloned or self.state is not State.GROWING:
            return
        root, tenant = self._ids
        lines = f"{INNER_ROOT} {root} 1\n{INNER_TENANT} {tenant} 1\n"
        try:
            # Denied first, or a group could be dropped that a file's mode denies something to.
            for name, text in (("setgroups", "deny"), ("uid_map", lines), ("gid_map", lines)):
                with open(f"/proc/{self.pid}/{name}", "w") as file:
                    file.write(text)
            self._setup.send({"do": "build"})
        except (OSError, LinkClosed) as error:
            self.kill("not started", f"its id maps could not be written: {error}")

    def _heard(self, message: Message, descriptors: list[int]) -> None:
        # From pid 1, trusted for ever, and from the worker before the tenant's code: the worker
        # closes its copy of this socket before the import.
        for descriptor in descriptors:
            os.close(descriptor)
        what = message.get("is")
        if what == "cloned":
            self._is_cloned = True
            self._write_maps_when_both_are_here()
        elif what == "blank":
            self.state = next_state(self.state, Event.BUILT)
            self._deadline.cancel()
            if self.state is State.BLANK:
                self._on_blank(self)
        elif what == "failed":
            self._ending = self._ending or Ending(
                "not started", reason=f"step {message['step']}: {message['reason']}"
            )
        elif what == "exited":
            self._ending = self._ending or Ending("exited", message["signal"], message["code"])

    # ---- tied -------------------------------------------------------------------------------

    def tie(self, message: Message, code_fd: int) -> None:
        """Send the function's limits and its detached code tree.  LinkClosed when the cell is gone."""
        self._setup.send({**message, "do": "tie", "has_code": True}, [code_fd])
        self.state = next_state(self.state, Event.TIED)

    def returned(self, pipes: list[int]) -> None:
        """A front handed the cell back with its pipe ends."""
        self.state = next_state(self.state, Event.RETURNED)
        self.pipes = Pipes(*pipes)

    def leased_again(self) -> None:
        """Another front takes it, for the same version."""
        self.state = next_state(self.state, Event.LEASED_AGAIN)

    # ---- the end ----------------------------------------------------------------------------

    def kill(self, cause: str, reason: str = "") -> None:
        """Kill the whole cell: with pid 1 the kernel ends everything in its pid namespace."""
        if self.state in (State.DEAD, State.DYING):
            return
        # What pid 1 has already said came first: it is the truth.
        self._setup.drain_now()
        self._ending = self._ending or Ending(cause, signal.SIGKILL, reason=reason)
        self.state = next_state(self.state, Event.KILLED)
        self._signal()

    def _signal(self) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):  # it is exiting by itself
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _reaped(self, status: int) -> None:
        self._setup.drain_now()  # "exited" may still be on its way
        if self._ending is None:
            code = os.waitstatus_to_exitcode(status)
            self._ending = Ending("exited", max(0, -code), max(0, code))
        self._ended(self._ending)

    def not_grown(self, reason: str) -> None:
        """There was no asking the zygote: this cell never was."""
        self._ended(Ending("not started", reason=reason))

    def _ended(self, ending: Ending) -> None:
        self.state = next_state(self.state, Event.EXITED)
        self._deadline.cancel()
        self._setup.close()
        self.pipes.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._on_end(self, ending)
