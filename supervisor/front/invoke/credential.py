"""Who is calling: the bearer token of a request against the administrator's."""

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
from supervisor.front.invoke.wrong_tokens import LINE_EVERY_S, Guesses

log = logging.getLogger("cellblock.front")

TOKEN_MAX_BYTES = 4096  # a bearer token longer than this is nobody's
BEARER = b"bearer "
# An answer above the limit of wrong tokens comes so late: who guesses on one connection waits for each.
SLOWED_S = 1.0
# So many wait at once, a few KiB each; those beyond are answered at once, and learn no more by it.
SLOWED_MOST = 256
WHY = "send the header 'Authorization: Bearer <token>' with a token of this server"


@dataclass(frozen=True)
class Principal:
    """A caller whose credential was recognised."""

    name: str


ADMIN = Principal("admin")


class Credentials:
    """Recognises credentials; holds only a digest of the administrator's token."""

    def __init__(self, admin_token_sha256: bytes) -> None:
        self._admin = admin_token_sha256
        self._last_known = b""
        self._guesses = Guesses()
        self._slowed = 0
        self._minute: asyncio.TimerHandle | None = None

    def principal(self, authorization: bytes | None) -> Principal | None:
        """The principal of an ``Authorization`` header's value, or ``None`` if it is nobody's."""
        if authorization is None or len(authorization) > TOKEN_MAX_BYTES:
            return None
        # Nearly every call repeats the last good header; constant time, as the digest's comparison is.
        if self._last_known and hmac.compare_digest(authorization, self._last_known):
            return ADMIN
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Digests are compared: their length says nothing of the token's.
        digest = hashlib.sha256(token.strip()).digest()
        if not hmac.compare_digest(digest, self._admin):
            return None
        self._last_known = authorization
        return ADMIN

    async def refusal(self, authorization: bytes | None, peer: str, why: str = WHY) -> PlatformError:
        """The answer to a request whose credential is nobody's; what holds no bearer token is no guess."""
        if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
            return unauthenticated(why)
        loop = asyncio.get_running_loop()
        wait_s = self._guesses.wrong(peer, loop.time())
        if self._minute is None:
            self._minute = loop.call_later(LINE_EVERY_S, self._tell)
        if not wait_s:
            return unauthenticated(why)
        if line := self._guesses.line(peer, loop.time()):
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
        """What a minute has brought, once it is over: nobody asks where no token is wrong."""
        self._minute = None
        for line in self._guesses.lines():
            log.warning("%s within the last minute", line)


def unauthenticated(why: str = WHY) -> PlatformError:
    """The 401 of every route that wants a credential and got none that it knows."""
    return PlatformError(
        401,
        f"Unauthenticated: {why}",
        headers={"WWW-Authenticate": 'Bearer realm="cellblock"'},
    )


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address that an ASGI request came from; "" where it has none, as on a Unix socket."""
    client = scope.get("client")
    return str(client[0]) if client else ""
