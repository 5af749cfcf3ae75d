"""A cell that says what a test tells it to, on real pipes, and the instance that listens to it.

The warden is a script too: these interleavings cannot be had of the real one on request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from supervisor.front.pool.cell.instance_identity import InstanceIdentity
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Lease
from worker import wire


@dataclass
class ScriptedWarden:
    """Remembers what it was told."""

    kills: list[tuple[str, str]] = field(default_factory=list)
    has_killed: asyncio.Event = field(default_factory=asyncio.Event)
    left: list[tuple[str, str]] = field(default_factory=list)
    returned: list[Any] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    starts: list[tuple[str, str, str]] = field(default_factory=list)

    def signal(self, _: str, name: str) -> None:
        """As WardenLink.signal."""
        self.signals.append(name)

    def kill(self, cell: str, cause: str) -> None:
        """As WardenLink.kill."""
        self.kills.append((cell, cause))
        self.has_killed.set()

    def start(self, cell: str, whose: tuple[str, str, int], state: str, reason: str = "") -> None:
        """As WardenLink.start."""
        self.starts.append((cell, state, reason))

    def leave(self, cell: str, cause: str) -> None:
        """As WardenLink.leave."""
        self.left.append((cell, cause))

    def give_back(self, cell: str, memory: Any, pipes: list[int]) -> None:
        """As WardenLink.give_back."""
        self.returned.append((cell, memory))


@dataclass
class Values:
    """A function's values that never change."""

    revision: int = 1
    frame: bytes = b""
    masker: None = None


class Ends:
    """The cell's ends of its pipes; ``ours`` are the front's, for a lease."""

    def __init__(self) -> None:
        pipes = [os.pipe() for _ in range(4)]
        (self.requests, request), (reply, self.replies), (out, self.stdout), (err, self.stderr) = pipes
        self.ours = [request, reply, out, err]
        for descriptor in (*self.ours, self.requests):
            os.set_blocking(descriptor, False)
        self._open = {self.requests, self.replies, self.stdout, self.stderr}

    def says(self, data: bytes) -> None:
        """Write to the reply pipe; a reader that is gone is no affair of the cell's."""
        try:
            os.write(self.replies, data)
        except BrokenPipeError:
            return

    def hangs_up(self) -> None:
        """Close every end, once."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()


def identity(**limits: int) -> InstanceIdentity:
    """The function ``demo/f``."""
    return InstanceIdentity(
        "demo", "f", 1, limits.get("log_bytes", 1000), limits.get("log_lines", 10), 1 << 20
    )


class HeardCall(PendingCall):
    """A call whose end a test waits for: ``future`` is its frame or its error."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self.future: asyncio.Future[wire.Frame] = asyncio.get_running_loop().create_future()
        self.call_id = "call-id"
        self.timeout_s = timeout_s
        self.encode("POST", "/", "", [], Values())

    def ended(self) -> None:
        """As PendingCall.ended."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            assert self.frame is not None
            self.future.set_result(self.frame)


def prepared(timeout_s: float = 30.0) -> HeardCall:
    """One call that nobody has sent yet."""
    return HeardCall(timeout_s)


class Cell(Ends):
    """A cell, and the instance that holds it."""

    def __init__(self, on_free: Callable[[Instance, float], None] | None = None, **limits: int) -> None:
        super().__init__()
        self.warden = ScriptedWarden()
        self.gone: list[Instance] = []
        self.unbegun: list[PendingCall] = []
        self.freed: list[float] = []
        on_free = on_free or (lambda _, seconds: self.freed.append(seconds))
        lease = Lease("cell-1", None, self.ours)
        self.instance = Instance(lease, self.warden, identity(**limits), on_free, self._is_gone)  # type: ignore[arg-type]

    def _is_gone(self, instance: Instance, unbegun: list[PendingCall]) -> None:
        self.gone.append(instance)
        self.unbegun += unbegun

    def reads(self) -> bytes:
        """What its front has written."""
        return os.read(self.requests, 1 << 20)

    def call(self, timeout_s: float = 30.0, is_read: bool = True) -> HeardCall:
        """One call, sent, and taken out of the pipe."""
        call = prepared(timeout_s)
        self.instance.send(call)
        if is_read and not call.is_over:
            self.reads()
        return call


def ready() -> bytes:
    """The frame that says a sync handler was imported."""
    return wire.encode(wire.READY, 0, (0, 1, "handle", "3.11"))


def answer(number: int, body: bytes = b"") -> bytes:
    """An answer to that call."""
    return wire.encode(wire.ANSWER, number, (200, 1, 0, 0), (), len(body)) + body
