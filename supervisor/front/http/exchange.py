"""One HTTP request to a function and its answer, without what a web framework would want of them.

For an invocation the gateway needs a method, a path, a query and the headers, and it knows its whole answer
when it gives it: no task, no future and no scope is made for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from supervisor.errors import PlatformError
from supervisor.front.invoke.timing import Timing
from supervisor.front.outcome import refusals
from supervisor.front.outcome.answers import Headers

if TYPE_CHECKING:
    from supervisor.front.http.connection import Connection
    from supervisor.front.invoke.cors import Cors
    from supervisor.front.invoke.gateway import Gateway
    from supervisor.front.invoke.origins import Asked
    from supervisor.front.invoke.pending_call import PreparedCall
    from supervisor.front.invoke.request import Call
    from supervisor.front.pool.pool import Pool

# A caller that hangs up ends its call: who has only shut its side gets a quick answer.
SHUT_SECONDS = 0.5
# Of a call id: headers that come beside the answer.
Beside = Callable[[str], Awaitable[Headers]]


class Exchange:
    """A request whose path is an invocation's, and how far the gateway is with it.

    ``match`` is what ``origins.recognise`` gave for it; ``cors`` is the option of its function, once that was
    looked at; ``is_over`` once it was answered or its caller is gone.
    """

    __slots__ = (
        "beside", "body", "call", "call_id", "connection", "cors", "gateway", "headers", "is_known",
        "is_over", "limit_s", "match", "method", "most", "pool", "prepared", "query_string", "timing",
        "tries",
    )  # fmt: skip

    shut_seconds = SHUT_SECONDS
    gateway: Gateway
    call: Call

    def __init__(
        self,
        connection: Connection,
        match: Asked,
        method: str,
        query_string: bytes,
        headers: Headers,
    ) -> None:
        self.connection = connection
        self.match = match
        self.method = method
        self.query_string = query_string
        self.headers = headers
        self.timing = Timing()
        self.call_id = ""
        self.beside: Beside | None = None
        self.cors: Cors | None = None
        self.body: bytes | bytearray = b""
        self.most = 0
        self.is_over = self.is_known = False
        self.limit_s = 0.0
        self.tries = 0
        self.pool: Pool | None = None
        self.prepared: PreparedCall | None = None

    @property
    def peer(self) -> str:
        """The address that the request came from, "" where there is none."""
        return self.connection.peer

    def want_body(self, most: int) -> None:
        """Have the body come, of ``most`` bytes at the most."""
        self.most = most
        self.connection.want_body()

    def take(self, data: bytes) -> None:
        """As Reader's."""
        if len(self.body) + len(data) > self.most:
            self.body = b""
            self.failed(refusals.too_large(self.most))
        elif not self.body:
            self.body = data  # mostly there is only one part
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data

    def whole(self) -> None:
        """As Reader's."""
        self.gateway.has_body(self)

    def failed(self, error: PlatformError) -> None:
        """As Reader's."""
        if not self.is_over:
            self.gateway.refuse(self, error)

    def lost(self) -> None:
        """As Reader's."""
        if not self.is_over:
            self.gateway.hung_up(self)

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """The answer, unless the caller is gone."""
        self.is_over = True
        if self.connection.reader is self:
            self.connection.reply(status, headers, body)
