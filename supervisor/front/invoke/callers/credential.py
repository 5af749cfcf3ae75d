"""Recognises a caller by its bearer token, and slows those that guess.

The administrator's token is known by its digest.  Those of spaces are in the store: a front remembers the
ones that it has looked up, so that a warm call costs one look into a dict.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable, Mapping

from supervisor.errors import PlatformError
from supervisor.front.invoke.callers.caller_address import Callers
from supervisor.front.invoke.callers.known_tokens import KnownTokens, spelled
from supervisor.front.invoke.callers.token_lookups import CredentialSource, TokenLookups
from supervisor.front.invoke.callers.wrong_tokens import LINE_EVERY_S, WrongTokens
from supervisor.tenancy import permissions
from supervisor.tenancy.principal import ADMIN, Principal
from supervisor.tenancy.route_scopes import ADMINISTRATOR

log = logging.getLogger("cellblock.front")

TOKEN_MAX_BYTES = 4096  # no token of ours is longer
BEARER = b"bearer "
CLIENT_ID_CHARS = 26  # of an app's id; more of one that is none is not looked at
# Above the limit of wrong tokens a refusal comes this late: a guesser waits for each on its connection.
SLOWED_S = 1.0
# This many refusals wait at once, a few KiB each; the others come at once, and tell a guesser no more.
SLOWED_MOST = 256
WHY = "send the header 'Authorization: Bearer <token>' with a token of this server"


class Credentials:
    """Knows tokens by their digests only, and no administrator before it was told the token's.

    An ``address`` is that of a caller, as ``callers`` finds it behind proxies of ours.
    """

    def __init__(
        self,
        admin_token_sha256: bytes = b"",
        metrics_token_sha256: bytes = b"",
        source: CredentialSource | None = None,
        callers: Callers | None = None,
    ) -> None:
        """``metrics_token_sha256`` is b"" where there is no such token; ``source`` is None for no spaces."""
        self.callers = callers or Callers()
        self._admin = admin_token_sha256
        self._metrics = metrics_token_sha256
        self._known = KnownTokens()
        self.lookups = TokenLookups(source, self._known) if source is not None else None
        self._wrong_tokens = WrongTokens()
        self._wrong_secrets = WrongTokens(lambda client_id: f"app:{client_id}")
        self._slowed = 0
        self._minute: asyncio.TimerHandle | None = None
        # Told once a minute how many wrong tokens came from which address, for the audit.
        self.on_wrong: Callable[[Mapping[str, int]], None] = lambda wrong: None

    def replace(self, admin_token_sha256: bytes) -> bool:
        """Know this token from now on, and no other; whether another one was known before."""
        before, self._admin = self._admin, admin_token_sha256
        if before == self._admin:
            return False
        self._known.forget(None)
        return bool(before)

    def principal(self, authorization: bytes | None) -> Principal | None:
        """The principal that an ``Authorization`` header's value belongs to, as far as this front knows.

        None for a wrong one, and for one that ``recognised`` has to look up.
        """
        # Nearly every call repeats a good header.
        if authorization is None or (found := self._known.by_header.get(authorization)) is None:
            return self._otherwise(authorization)
        if found.expires_at is not None and found.expires_at <= time.time():
            return None
        return found

    def _otherwise(self, authorization: bytes | None) -> Principal | None:
        token = _token_of(authorization)
        if token is None:
            return None
        header = spelled(token)
        if header != authorization and header in self._known.by_header:
            return self.principal(header)
        # A comparison of digests does not tell the token's length.
        if not hmac.compare_digest(hashlib.sha256(token).digest(), self._admin):
            return None
        self._known.add(header, ADMIN)
        return ADMIN

    async def recognised(self, authorization: bytes | None, address: str) -> Principal | None:
        """As ``principal``, but a token that this front has not seen yet is looked up in the store.

        PlatformError 503 for one that cannot be looked up now.
        """
        found = self.principal(authorization)
        token = _token_of(authorization)
        if found is not None or token is None or self.lookups is None or not self.lookups.wanted(token):
            return found
        if spelled(token) in self._known.by_header or self.lookups.is_nobodys(token):
            return None  # it has expired, or is nobody's
        if self._wrong_tokens.is_above(address, asyncio.get_running_loop().time()):
            await self._slow_down()  # a right one from there comes through all the same
        await self.lookups.find(token)
        return self.principal(authorization)

    async def require_admin(self, authorization: bytes | None, address: str, why: str) -> None:
        """PlatformError 401, 403 or 503 unless the header is the administrator's."""
        found = await self.recognised(authorization, address)
        if found is None:
            raise await self.refusal(authorization, address, why)
        permissions.require(found, ADMINISTRATOR, None)

    def is_for_metrics(self, authorization: bytes) -> bool:
        """Whether an ``Authorization`` header's value is the token of ``/metrics``."""
        token = _token_of(authorization)
        if not self._metrics or token is None:
            return False
        return hmac.compare_digest(hashlib.sha256(token).digest(), self._metrics)

    async def refusal(self, authorization: bytes | None, address: str, why: str = WHY) -> PlatformError:
        """The refusal of a request without a known credential; only a bearer token counts as a guess."""
        if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
            return unauthenticated(why)
        return await self._counted(address, None) or unauthenticated(why)

    async def wrong_secret(self, client_id: str, address: str) -> PlatformError | None:
        """Count an app's wrong secret; the refusal if the address, or the app, has had too many."""
        return await self._counted(address, client_id)

    async def _counted(self, address: str, client_id: str | None) -> PlatformError | None:
        loop = asyncio.get_running_loop()
        wait_s = self._wrong_tokens.count(address, loop.time())
        if client_id is not None:
            wait_s = max(wait_s, self._wrong_secrets.count(client_id[:CLIENT_ID_CHARS], loop.time()))
        if self._minute is None:
            self._minute = loop.call_later(LINE_EVERY_S, self._tell)
        if not wait_s:
            return None
        if line := self._wrong_tokens.line(address, loop.time()):
            log.warning("%s", line)
        await self._slow_down()
        return PlatformError(
            429,
            "too many wrong tokens came from this address; look at the token, and try again later",
            headers={"Retry-After": str(math.ceil(wait_s))},
        )

    async def _slow_down(self) -> None:
        if self._slowed < SLOWED_MOST:
            self._slowed += 1
            try:
                await asyncio.sleep(SLOWED_S)
            finally:
                self._slowed -= 1

    def _tell(self) -> None:
        """Log the last minute's wrong tokens; the timer runs only after a wrong token."""
        self._minute = None
        self.on_wrong({**self._wrong_tokens.taken(), **self._wrong_secrets.taken()})
        for line in self._wrong_tokens.lines():
            log.warning("%s within the last minute", line)


def _token_of(authorization: bytes | None) -> bytes | None:
    """The token of a bearer header; None for any other header."""
    if authorization is None or len(authorization) > TOKEN_MAX_BYTES:
        return None
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def unauthenticated(why: str = WHY) -> PlatformError:
    """The 401 of every route that wants a credential and got no known one."""
    return PlatformError(
        401,
        f"Unauthenticated: {why}",
        headers={"WWW-Authenticate": 'Bearer realm="cellblock"'},
    )
