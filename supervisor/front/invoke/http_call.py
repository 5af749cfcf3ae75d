"""One call, from the head of its HTTP request to its answer: the one object that all its steps share.

The gateway needs a method, a path, a query and the headers of an invocation, and it knows its whole answer
when it gives it: no task, no future and no ASGI scope is made for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from supervisor.errors import PlatformError
from supervisor.front.functions.function_entry import FunctionEntry
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome import refusals
from supervisor.front.outcome.answers import Headers
from supervisor.front.outcome.cors import Cors
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.pool import Pool
from supervisor.front.quotas.space_quota import SpaceQuota
from supervisor.tenancy.principal import Principal

# A caller that has shut its sending side gets its answer if the answer comes within this time.
SHUT_SECONDS = 0.5
# Gives headers that are added to the answer of the call with this id.
Beside = Callable[[str], Awaitable[Headers]]


class Caller(Protocol):
    """The connection of a request."""

    peer: str

    @property
    def handler(self) -> object:
        """The request that the connection serves now."""

    def want_body(self) -> None:
        """Read the request's body."""

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Write the whole answer."""


class CallSteps(Protocol):
    """The gateway, as its invocations call it."""

    def body_arrived(self, call: HttpCall) -> None:
        """The whole body has come."""

    def refuse(self, call: HttpCall, error: PlatformError) -> None:
        """Answer with an error of the platform."""

    def hung_up(self, call: HttpCall) -> None:
        """The caller is gone."""

    def ended(self, call: HttpCall) -> None:
        """The run in the cell has ended."""


class HttpCall(PendingCall):
    """An HTTP request to a function; a RequestHandler of its connection (``front.http.edge``).

    ``request.parse`` sets ``path``, ``query``, ``event_headers`` and the fields beside them.  ``cors`` is the
    option of the function, once that was looked up.  ``pool`` is set while the call waits or runs.
    ``quota`` is set once the call was admitted in a space with quotas.
    ``is_closed``: the call was answered, or its caller is gone.  ``version`` is 0 until the call is queued.
    ``is_known``: ``principal`` may call the function.  ``unchecked`` is why a credential could not be looked
    up.
    """

    __slots__ = (
        "asked", "authorization", "beside", "body_max_bytes", "connection", "content_length", "cors",
        "event_headers", "function", "gateway", "has_body", "headers", "is_closed", "is_known", "lookups",
        "method", "path", "pool", "principal", "query", "query_string", "quota", "timeout", "unchecked",
        "version",
    )  # fmt: skip

    shut_seconds = SHUT_SECONDS
    gateway: CallSteps
    path: str
    query: str
    event_headers: list[tuple[str, str]]
    authorization: bytes | None
    timeout: str | None
    content_length: int | None
    has_body: bool

    def __init__(
        self, connection: Caller, asked: Asked, method: str, query_string: bytes, headers: Headers
    ) -> None:
        super().__init__()
        self.connection = connection
        self.asked = asked
        self.method = method
        self.query_string = query_string
        self.headers = headers
        self.beside: Beside | None = None
        self.cors: Cors | None = None
        self.function: FunctionEntry | None = None
        self.pool: Pool | None = None
        self.principal: Principal | None = None
        self.unchecked: PlatformError | None = None
        self.quota: SpaceQuota | None = None
        self.body_max_bytes = self.version = self.lookups = 0
        self.is_closed = self.is_known = False

    @property
    def memory_mib(self) -> int:
        """The memory limit of the function."""
        assert self.function is not None
        return self.function.limits.memory

    def want_body(self, most: int) -> None:
        """Have the body read, at most ``most`` bytes."""
        self.body_max_bytes = most
        self.connection.want_body()

    def take(self, data: bytes) -> None:
        """As RequestHandler.take."""
        if len(self.body) + len(data) > self.body_max_bytes:
            self.body = b""
            self.failed(refusals.too_large(self.body_max_bytes))
        elif not self.body:
            self.body = data  # most bodies come in one part
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data

    def whole(self) -> None:
        """As RequestHandler.whole."""
        self.gateway.body_arrived(self)

    def failed(self, error: PlatformError) -> None:
        """As RequestHandler.failed."""
        if not self.is_closed:
            self.gateway.refuse(self, error)

    def lost(self) -> None:
        """As RequestHandler.lost."""
        if not self.is_closed:
            self.gateway.hung_up(self)

    def ended(self) -> None:
        """As PendingCall.ended."""
        self.gateway.ended(self)

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Give the answer to the connection, if that still serves this request."""
        self.is_closed = True
        if self.connection.handler is self:
            self.connection.reply(status, headers, body)
