"""The worker process of gunicorn's arbiter, with our own event loop, connections and drain.

The drain loses nothing that has reached the server.  Each answer says that its connection ends.  Connections
in the kernel's queue are accepted and served.  Callers that still wait at the deadline are answered too.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Protocol

import uvloop
from gunicorn.workers.base import Worker

from supervisor.front.http.api_request import ApiRequest
from supervisor.front.http.connection import Connection
from supervisor.front.http.connection_counts import ConnectionCounts
from supervisor.front.http.connection_waits import WaitLimits
from supervisor.front.http.edge import Edge
from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.callers.caller_address import Callers
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome.answers import Headers
from supervisor.settings.front_settings import FrontSettings

# How often the arbiter hears that the loop turns, and how often idle connections are looked at.
TICK_SECONDS = 1.0
# How often the drain looks if the last request was answered.
LOOK_SECONDS = 0.02
# The drain ends after this many looks without a request: a request on its way has arrived by then.
QUIET_LOOKS = 4
# After the calls were ended at the deadline: until the warden tells their cells' ends and they are answered.
LAST_WORDS_SECONDS = 0.8
# Cancelled tasks have this long to end.
LAST_TASKS_SECONDS = 1.0
# The kernel's queue of connections that were not accepted yet; the warden's listener has the same.
LISTEN_BACKLOG = 2048
# A caller that was refused may go on to send for this long before it reads why.
LINGER_SECONDS = 30.0


class WorkerApplication(Protocol):
    """The application of a front; ``start`` makes its ``call_ids`` and its ``invoke``."""

    settings: FrontSettings
    recognise: Callable[[bytes, Headers], Asked | None]
    callers: Callers
    call_ids: CallIds

    @property
    def invoke(self) -> Callable[[HttpCall], None]:
        """Begins an invocation."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answers any other request, by ASGI."""

    async def start(self) -> None:
        """Make the rest of the front on the loop that runs."""

    def drain(self) -> None:
        """Tell endless answers that the server ends."""

    def leave(self) -> None:
        """End the calls that still wait or run."""

    async def stop(self) -> None:
        """Write down and close what is open."""


class FrontWorker(Worker):  # type: ignore[misc]
    """The process of one front."""

    _edge: Edge
    _application: WorkerApplication

    def init_process(self) -> None:
        """Make the loop, in the worker's own process, before gunicorn sets the signals."""
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._is_told = asyncio.Event()
        self._is_hurried = False
        super().init_process()

    def load_wsgi(self) -> None:
        """Take the application; gunicorn's name for it is older than ASGI."""
        self._application = self.app.wsgi()

    def init_signals(self) -> None:
        """Handle signals on the loop, but SIGABRT at once: the arbiter sends it when the loop is stuck."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGABRT, self.handle_abort)
        for number, handler in {
            signal.SIGTERM: self._drain_now,
            signal.SIGINT: self._hurry,
            signal.SIGQUIT: self._hurry,
            signal.SIGUSR1: self.log.reopen_files,
            signal.SIGWINCH: lambda: None,
        }.items():
            self._loop.add_signal_handler(number, handler)

    def _drain_now(self) -> None:
        self.alive = False
        self._is_told.set()

    def _hurry(self) -> None:
        self._is_hurried = True
        self._drain_now()

    def run(self) -> None:
        """Serve until a signal ends the worker."""
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            self.log.exception("a front ends by a mistake of ours")
        finally:
            self._end_tasks()

    async def _serve(self) -> None:
        application = self._application
        settings = application.settings
        await application.start()
        self._edge = Edge(
            self._loop,
            ConnectionCounts(
                settings.connections_most, settings.connections_per_address, settings.requests_max_bytes
            ),
            WaitLimits(
                settings.keepalive_seconds,
                settings.head_seconds,
                settings.body_seconds,
                settings.unread_seconds,
                LINGER_SECONDS,
            ),
            application.call_ids,
            application.callers,
            application.recognise,
            application.invoke,
            functools.partial(ApiRequest, application),
        )
        servers = [
            await self._loop.create_server(
                lambda: Connection(self._edge), sock=listener.sock, backlog=LISTEN_BACKLOG
            )
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self._edge.sweep()
            try:
                await asyncio.wait_for(self._is_told.wait(), TICK_SECONDS)
            except TimeoutError:
                continue
        await self._drain(servers)
        await application.stop()

    async def _drain(self, servers: list[asyncio.AbstractServer]) -> None:
        edge, application = self._edge, self._application
        began = self._loop.time()
        edge.is_draining = True
        await self._accept_the_last(servers)
        application.drain()
        deadline = began + application.settings.drain_seconds
        await self._until_quiet(deadline)
        if edge.running and not self._is_hurried:
            application.leave()
            deadline = self._loop.time() + LAST_WORDS_SECONDS
            await self._until_quiet(deadline)
        for connection in list(edge.connections):
            connection.transport.close()  # once its last bytes are written
        while edge.connections and self._loop.time() < deadline and not self._is_hurried:
            await self._pause()

    async def _until_quiet(self, deadline: float) -> None:
        quiet = 0
        while quiet < QUIET_LOOKS and self._loop.time() < deadline and not self._is_hurried:
            # Without a connection no request can come.
            quiet = quiet + 1 if not self._edge.running else 0
            if not quiet or self._edge.connections:
                await self._pause()

    async def _pause(self) -> None:
        """Sleep, and tell the arbiter that the loop turns: it would take a long drain for a stuck loop."""
        self.notify()
        await asyncio.sleep(LOOK_SECONDS)

    async def _accept_the_last(self, servers: list[asyncio.AbstractServer]) -> None:
        """Stop listening, and accept the connections in the kernel's queue: a close would reset them."""
        listeners = [listener.sock.dup() for listener in self.sockets]
        for server in servers:
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
        await self._loop.connect_accepted_socket(lambda: Connection(self._edge), connection)

    def _end_tasks(self) -> None:
        tasks: set[asyncio.Task[Any]] = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_TASKS_SECONDS))
        self._loop.close()
