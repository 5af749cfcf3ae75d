"""What all connections of a front share, and where each of their requests goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from supervisor.errors import PlatformError
from supervisor.front.http import connection_waits
from supervisor.front.http.answer_head import HeadWriter
from supervisor.front.http.connection_counts import ConnectionCounts
from supervisor.front.http.connection_waits import ConnectionState, Observation
from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.callers.caller_address import Callers
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome.answers import Headers

READ_BYTES = 1 << 16
# A look at thousands of connections takes milliseconds in which no call moves: each turn looks at this many.
LOOKED_AT_ONCE = 1000


class RequestHandler(Protocol):
    """Takes one request from its connection and answers it.

    A caller that has shut its sending side may wait for its answer or be gone, and nothing tells which.
    After ``shut_seconds`` the connection takes it for gone.
    """

    shut_seconds: float

    def take(self, data: bytes) -> None:
        """Take a part of the body that was asked for."""

    def whole(self) -> None:
        """The body has ended."""

    def failed(self, error: PlatformError) -> None:
        """The rest of the body cannot be had: answer with this, unless the answer has begun."""

    def lost(self) -> None:
        """The caller is gone: no answer is heard."""


class SweptConnection(Protocol):
    """A connection, as the edge and its sweep know it."""

    transport: asyncio.Transport
    seen: Observation | None

    def state(self) -> ConnectionState:
        """What the connection waits for."""

    def written(self, data: bytes, closes: bool) -> None:
        """Write an answer, unless the caller is gone."""

    def too_slow(self) -> None:
        """Refuse a request whose body takes too long."""

    def end(self, at_once: bool) -> None:
        """Close the connection."""


@dataclass(slots=True, eq=False, repr=False)
class Edge:
    """The state of all connections of one front.

    ``recognise`` says which function a path and headers name.  An invocation goes to ``invoke``; any other
    request goes to ``serve`` (connection, method, target, headers), which makes its RequestHandler.
    """

    loop: asyncio.AbstractEventLoop
    counts: ConnectionCounts
    wait_limits: connection_waits.WaitLimits
    call_ids: CallIds
    callers: Callers
    recognise: Callable[[bytes, Headers], Asked | None]
    invoke: Callable[[HttpCall], None]
    serve: Callable[..., RequestHandler]
    heads: HeadWriter = field(default_factory=HeadWriter)
    connections: set[SweptConnection] = field(default_factory=set)
    running: int = 0  # requests that are being answered
    is_draining: bool = False  # every answer is its connection's last
    # Connections read one after the other: each uses the bytes up before the loop goes on.
    buffer: bytearray = field(default_factory=lambda: bytearray(READ_BYTES))
    view: memoryview = field(init=False)
    _answers: list[tuple[SweptConnection, bytes, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view = memoryview(self.buffer)

    def write_soon(self, connection: SweptConnection, data: bytes, closes: bool) -> None:
        """Write an answer once every connection and cell was heard in this turn of the loop.

        Callers then wake one after the other and not between two reads: half the time of a write.
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

    def _look(self, connections: list[SweptConnection]) -> None:
        now = self.loop.time()
        for connection in connections[:LOOKED_AT_ONCE]:
            state = connection.state()
            seen = connection.seen = connection_waits.look(connection.seen, state, now)
            action = connection_waits.judge(seen, now, self.wait_limits)
            if action is connection_waits.SweepAction.TOO_SLOW:
                connection.too_slow()
            elif action is not connection_waits.SweepAction.KEEP:
                connection.end(action is connection_waits.SweepAction.ABORT)
        if rest := connections[LOOKED_AT_ONCE:]:
            self.loop.call_soon(self._look, rest)
