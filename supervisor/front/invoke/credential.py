"""Recognises a caller by its bearer token, and slows those that guess."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supervisor.errors import PlatformError
from supervisor.front.invoke.caller_address import Callers
from supervisor.front.invoke.wrong_tokens import LINE_EVERY_S, WrongTokens
from supervisor.front.outcome.answers import Headers

log = logging.getLogger("cellblock.front")

TOKEN_MAX_BYTES = 4096  # no token of ours is longer
BEARER = b"bearer "
# Above the limit of wrong tokens a refusal comes this late: a guesser waits for each on its connection.
SLOWED_S = 1.0
# This many refusals wait at once, a few KiB each; the others come at once, and tell a guesser no more.
SLOWED_MOST = 256
WHY = "send the header 'Authorization: Bearer <token>' with a token of this server"


@dataclass(frozen=True)
class Principal:
    """A caller whose credential was recognised."""

    name: str


ADMIN = Principal("admin")


class Credentials:
    """Knows the tokens by their digests only, and no administrator before it was told the token's.

    ``callers`` says whose a wrong token is.
    """

    def __init__(
        self,
        admin_token_sha256: bytes = b"",
        metrics_token_sha256: bytes = b"",
        callers: Callers | None = None,
    ) -> None:
        """``metrics_token_sha256`` is b"" where there is no such token."""
        self.callers = callers or Callers()
        self._admin = admin_token_sha256
        self._metrics = metrics_token_sha256
        self._last_known = b""
        self._wrong_tokens = WrongTokens()
        self._slowed = 0
        self._minute: asyncio.TimerHandle | None = None

    def replace(self, admin_token_sha256: bytes) -> bool:
        """Know this token from now on, and no other; whether another one was known before."""
        before, self._admin = self._admin, admin_token_sha256
        if before == self._admin:
            return False
        self._last_known = b""
        return bool(before)

    def principal(self, authorization: bytes | None) -> Principal | None:
        """The principal that an ``Authorization`` header's value belongs to; None for a wrong one."""
        if authorization is None or len(authorization) > TOKEN_MAX_BYTES:
            return None
        # Nearly every call repeats the last good header.  This too is compared in constant time.
        if self._last_known and hmac.compare_digest(authorization, self._last_known):
            return ADMIN
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # A comparison of digests does not tell the token's length.
        digest = hashlib.sha256(token.strip()).digest()
        if not hmac.compare_digest(digest, self._admin):
            return None
        self._last_known = authorization
        return ADMIN

    def may_scrape(self, authorization: bytes) -> bool:
        """Whether an ``Authorization`` header's value opens ``/metrics``."""
        if self.principal(authorization) is not None:
            return True
        scheme, _, token = authorization.partition(b" ")
        if not self._metrics or scheme.lower() != b"bearer" or len(token) > TOKEN_MAX_BYTES:
            return False
        return hmac.compare_digest(hashlib.sha256(token.strip()).digest(), self._metrics)

    async def refusal(
        self, authorization: bytes | None, peer: str, headers: Headers, why: str = WHY
    ) -> PlatformError:
        """The refusal of a request without a known credential; only a bearer token counts as a guess.

        ``peer`` is the connection's other end, which may be a proxy of ours.
        """
        if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
            return unauthenticated(why)
        loop = asyncio.get_running_loop()
        address = self.callers.address(peer, headers)
        wait_s = self._wrong_tokens.count(address, loop.time())
        if self._minute is None:
            self._minute = loop.call_later(LINE_EVERY_S, self._tell)
        if not wait_s:
            return unauthenticated(why)
        if line := self._wrong_tokens.line(address, loop.time()):
            log.warning("%s", line)
        if self._slowed < SLOWED_MOST:
            self._slowed += 1
            try:
                await asyncio.sleep(SLOWED_S)
            finally:
                self._slowed -= 1
        return PlatformError(
            429,
            "too many wrong tokens came from this address; look at the token, and try again later",
            headers={"Retry-After": str(math.ceil(wait_s))},
        )

    def _tell(self) -> None:
        """Log the last minute's wrong tokens; the timer runs only after a wrong token."""
        self._minute = None
        for line in self._wrong_tokens.lines():
            log.warning("%s within the last minute", line)


def unauthenticated(why: str = WHY) -> PlatformError:
    """The 401 of every route that wants a credential and got no known one."""
    return PlatformError(
        401,
        f"Unauthenticated: {why}",
        headers={"WWW-Authenticate": 'Bearer realm="cellblock"'},
    )


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address of an ASGI request's caller; "" where it has none, as on a Unix socket."""
    client = scope.get("client")
    return str(client[0]) if client else ""
