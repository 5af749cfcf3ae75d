"""gunicorn's ``asgi`` worker with a drain of our own.

gunicorn waits for connections to close; with keep-alive an idle one would hold the whole server up
for the full drain time.  We wait for requests instead, then close what is idle.  Nothing that has reached
us is lost: answers say that the connection ends, connections that nobody has accepted yet are, and
at the deadline whoever still waits is answered too.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import weakref
from typing import Any

import uvloop  # noqa: F401 - gunicorn imports it in each worker; here it is there before the fork
from gunicorn.workers import gasgi
from gunicorn.workers.gasgi import ASGIWorker

from supervisor.front import gateway
from supervisor.front.protocol import Protocol
from supervisor.front.stale import State

# How often the drain looks whether the last request is through.
LOOK_SECONDS = 0.02
# So many looks in a row without a request: what was on its way between two calls has arrived by then.
QUIET_LOOKS = 4
# For calls that were ended at the deadline: until their cells' ends are told and their answers written.
LAST_WORDS_SECONDS = 0.8
# Connections that nobody has accepted yet; as the warden's own.
LISTEN_BACKLOG = 2048

# How often all connections are looked at: of thousands that is some milliseconds in which no call moves.
SWEEP_SECONDS = 5.0

# on, 0 seconds
LINGER_NOT = struct.pack("ii", 1, 0)

_protocols: weakref.WeakSet[Any] = weakref.WeakSet()


class TrackedProtocol(Protocol):
    """A connection that the drain can find."""

    _is_deep = False

    def connection_made(self, transport: Any) -> None:
        """Remember the connection for as long as it lives."""
        _protocols.add(self)
        if not TrackedProtocol._is_deep:
            # uvloop has listened again on the warden's socket, with a backlog of 100.
            TrackedProtocol._is_deep = True
            for listener in self.worker.sockets:
                listener.sock.listen(LISTEN_BACKLOG)
        super().connection_made(transport)

    def state(self) -> State:
        """What ``stale`` wants to know."""
        transport = self.transport
        unsent = transport.get_write_buffer_size() if transport is not None else 0
        return State(self.req_count, self._current_request is None, unsent)

    def end(self, at_once: bool) -> None:
        """Close it; ``at_once``: with what nobody reads."""
        if self.transport is None:
            return
        if at_once:
            # The kernel too would hold what nobody reads, for minutes.
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            self.transport.abort()
        else:
            self.transport.close()


# The worker makes its connections from this name of its module; it offers no other place.
gasgi.ASGIProtocol = TrackedProtocol


class FrontWorker(ASGIWorker):  # type: ignore[misc]
    """One front: everything as gunicorn does it but the drain."""

    _quick_shutdown: bool
    _told_at: float | None = None

    def handle_exit_signal(self) -> None:
        """SIGTERM: the drain's time runs from here; its main loop begins with it within a second."""
        if self._told_at is None:
            self._told_at = self.loop.time()
            gateway.every_answer.append((b"connection", b"close"))
        super().handle_exit_signal()

    def init_process(self) -> None:
        """Settle the configuration: gunicorn looks a value up twice, twelve times a request."""
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        self._next_sweep = 0.0
        super().init_process()

    def notify(self) -> None:
        """Once a second: say that the loop turns, and at times look for connections that give nothing."""
        super().notify()
        now = self.loop.time()
        if now >= self._next_sweep:
            self._next_sweep = now + min(SWEEP_SECONDS, self.asgi.stale.patience_s / 4)
            self.asgi.stale.sweep(list(_protocols), now)

    async def _shutdown(self) -> None:
        await self._accept_the_last()
        self.asgi.drain()
        began = self.loop.time() if self._told_at is None else self._told_at
        deadline = began + self.asgi.settings.drain_seconds
        await self._until_quiet(deadline)
        if self.asgi.running and not self._quick_shutdown:
            self.asgi.leave()
            deadline = self.loop.time() + LAST_WORDS_SECONDS
            await self._until_quiet(deadline)
        for protocol in list(_protocols):
            transport = protocol.transport
            if transport is not None:
                transport.close()  # after what it still has to write
        while self.nr_conns > 0 and self.loop.time() < deadline and not self._quick_shutdown:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)  # gunicorn's numbers: nothing to wait on
        self._quick_shutdown = True  # all that the rest of gunicorn's shutdown would wait for is over
        await super()._shutdown()

    async def _until_quiet(self, deadline: float) -> None:
        quiet = 0
        while quiet < QUIET_LOOKS and self.loop.time() < deadline and not self._quick_shutdown:
            # Without a connection there is nobody to wait for.
            quiet = quiet + 1 if not self.asgi.running else 0
            if not quiet or self.nr_conns:
                await asyncio.sleep(LOOK_SECONDS)  # gunicorn's numbers: nothing to wait on

    async def _accept_the_last(self) -> None:
        """Stop listening, and take what the kernel has accepted for us: closing would reset it."""
        listeners = [listener.sock.dup() for listener in self.sockets]
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.setblocking(False)
            with listener:
                for _ in range(LISTEN_BACKLOG):
                    try:
                        connection, _ = listener.accept()
                    except (BlockingIOError, ConnectionAbortedError):
                        break
                    await self._take(connection)

    async def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        await self.loop.connect_accepted_socket(lambda: TrackedProtocol(self), connection)
