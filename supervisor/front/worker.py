"""gunicorn's ``asgi`` worker with a drain of our own.

gunicorn waits for connections to close; with keep-alive an idle one would hold the whole server up
for the full drain time.  We wait for requests instead, then close what is idle.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from gunicorn.workers import gasgi
from gunicorn.workers.gasgi import ASGIWorker

from supervisor.front.protocol import Protocol

# How often the drain looks whether the last request is through.
LOOK_SECONDS = 0.02
# Connections that nobody has accepted yet; as the warden's own.
LISTEN_BACKLOG = 2048

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


# The worker makes its connections from this name of its module; it offers no other place.
gasgi.ASGIProtocol = TrackedProtocol


class FrontWorker(ASGIWorker):  # type: ignore[misc]
    """One front: everything as gunicorn does it but the drain."""

    _quick_shutdown: bool

    async def _shutdown(self) -> None:
        for server in self.servers:
            server.close()
        deadline = self.loop.time() + self.cfg.graceful_timeout
        while self.asgi.running and self.loop.time() < deadline and not self._quick_shutdown:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)  # gunicorn's numbers: nothing to wait on
        for protocol in list(_protocols):
            transport = protocol.transport
            if transport is not None:
                transport.close()  # after what it still has to write
        while self.nr_conns > 0 and self.loop.time() < deadline and not self._quick_shutdown:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)  # gunicorn's numbers: nothing to wait on
        self._quick_shutdown = True  # all that the rest of gunicorn's shutdown would wait for is over
        await super()._shutdown()
