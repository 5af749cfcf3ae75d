"""What all connections of a front share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from supervisor.front.http import idle_connections
from supervisor.front.http.connection_limits import Crowd

if TYPE_CHECKING:
    from supervisor.front.http.connection import Connection
    from supervisor.front.http.exchange import Exchange

# Of thousands of connections a look at all is some milliseconds in which no call moves: so many a turn.
LOOKED_AT_ONCE = 1000


@dataclass
class Edge:
    """``invoke`` begins a call, ``serve`` is an ASGI application for everything else."""

    loop: asyncio.AbstractEventLoop
    crowd: Crowd
    times: idle_connections.Times
    invoke: Callable[[Exchange], None]
    serve: Callable[..., Any]
    connections: set[Connection] = field(default_factory=set)
    running: int = 0  # requests that are being answered
    is_draining: bool = False  # every answer is its connection's last
    _answers: list[tuple[Connection, bytes, bool]] = field(default_factory=list)

    def write_soon(self, connection: Connection, data: bytes, closes: bool) -> None:
        """Write an answer once this turn of the loop has heard all who have something to say.

        Callers are woken one after the other then, not each between two reads: half the time of a write.
        """
        if not self._answers:
            self.loop.call_soon(self._write)
        self._answers.append((connection, data, closes))

    def _write(self) -> None:
        answers, self._answers = self._answers, []
        for connection, data, closes in answers:
            connection.written(data, closes)

    def sweep(self) -> None:
        """End the connections whose time is up."""
        self._look(list(self.connections))

    def _look(self, connections: list[Connection]) -> None:
        now = self.loop.time()
        for connection in connections[:LOOKED_AT_ONCE]:
            state = connection.state()
            seen = connection.seen = idle_connections.look(connection.seen, state, now)
            verdict = idle_connections.judge(seen, now, self.times)
            if verdict is idle_connections.Verdict.TOO_SLOW:
                connection.too_slow()
            elif verdict is not idle_connections.Verdict.KEEP:
                connection.end(verdict is idle_connections.Verdict.ABORT)
        if rest := connections[LOOKED_AT_ONCE:]:
            self.loop.call_soon(self._look, rest)
