"""gunicorn's side: a worker process of its arbiter, with a loop, connections and a drain of our own.

Nothing that has reached us is lost at the end: answers say that the connection ends, connections that nobody
has accepted yet are, and at the deadline whoever still waits is answered too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import uvloop
from gunicorn.workers.base import Worker

from supervisor.front.http.connection import Connection
from supervisor.front.http.connection_limits import Crowd
from supervisor.front.http.edge import Edge
from supervisor.front.http.idle_connections import Times

if TYPE_CHECKING:
    from supervisor.front.app import Application

# The arbiter is told so often that the loop turns, and connections are looked at as often.
TICK_SECONDS = 1.0
# How often the drain looks whether the last request is through.
LOOK_SECONDS = 0.02
# So many looks in a row without a request: what was on its way between two calls has arrived by then.
QUIET_LOOKS = 4
# For calls that were ended at the deadline: until their cells' ends are told and their answers written.
LAST_WORDS_SECONDS = 0.8
# Tasks that are left at the end have been cancelled, and may still say so.
LAST_TASKS_SECONDS = 1.0
# Connections that nobody has accepted yet; as the warden's own.
LISTEN_BACKLOG = 2048
# A caller that was refused may go on to send for so long before it reads why.
LINGER_SECONDS = 30.0


class FrontWorker(Worker):  # type: ignore[misc]
    """One front."""

    _edge: Edge
    _application: Application

    def init_process(self) -> None:
        """In the worker's own process: its loop, before gunicorn sets signals and runs it."""
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._is_told = asyncio.Event()
        self._is_hurried = False
        super().init_process()

    def load_wsgi(self) -> None:
        """What gunicorn calls the application."""
        self._application = self.app.wsgi()

    def init_signals(self) -> None:
        """Heard between two turns of the loop; SIGABRT, the arbiter's for a loop that is stuck, at once."""
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
        """Serve until told to end."""
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            self.log.exception("a front ends by a mistake of ours")
        finally:
            self._end_tasks()

    async def _serve(self) -> None:
        settings = self._application.settings
        self._edge = Edge(
            self._loop,
            Crowd(settings.connections_most, settings.connections_per_address, settings.requests_max_bytes),
            Times(
                settings.keepalive_seconds,
                settings.head_seconds,
                settings.body_seconds,
                settings.unread_seconds,
                LINGER_SECONDS,
            ),
            self._application.invoke,
            self._application,
        )
        await self._application.start()
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
        await self._application.stop()

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
            connection.transport.close()  # after what it still has to write
        while edge.connections and self._loop.time() < deadline and not self._is_hurried:
            await self._pause()

    async def _until_quiet(self, deadline: float) -> None:
        quiet = 0
        while quiet < QUIET_LOOKS and self._loop.time() < deadline and not self._is_hurried:
            # Without a connection there is nobody to wait for.
            quiet = quiet + 1 if not self._edge.running else 0
            if not quiet or self._edge.connections:
                await self._pause()

    async def _pause(self) -> None:
        """The arbiter would take a long drain for a loop that is stuck."""
        self.notify()
        await asyncio.sleep(LOOK_SECONDS)

    async def _accept_the_last(self, servers: list[asyncio.AbstractServer]) -> None:
        """Stop listening, and take what the kernel has accepted for us: closing would reset it."""
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
