"""What all connections of a front share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from supervisor.front.http import stale
from supervisor.front.http.crowd import Crowd

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
    times: stale.Times
    invoke: Callable[[Exchange], None]
    serve: Callable[..., Any]
    connections: set[Connection] = field(default_factory=set)
    running: int = 0  # requests that are being answered
    is_draining: bool = False  # every answer is its connection's last

    def sweep(self) -> None:
        """End the connections whose time is up."""
        self._look(list(self.connections))

    def _look(self, connections: list[Connection]) -> None:
        now = self.loop.time()
        for connection in connections[:LOOKED_AT_ONCE]:
            state = connection.state()
            seen = connection.seen = stale.look(connection.seen, state, now)
            verdict = stale.judge(seen, now, self.times)
            if verdict is stale.Verdict.TOO_SLOW:
                connection.too_slow()
            elif verdict is not stale.Verdict.KEEP:
                connection.end(verdict is stale.Verdict.ABORT)
        if rest := connections[LOOKED_AT_ONCE:]:
            self.loop.call_soon(self._look, rest)
