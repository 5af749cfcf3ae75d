"""Who is calling: the bearer token of a request against the administrator's."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from supervisor.errors import PlatformError

TOKEN_MAX_BYTES = 4096  # a bearer token longer than this is nobody's


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


def unauthenticated(
    why: str = "send the header 'Authorization: Bearer <token>' with a token of this server",
) -> PlatformError:
    """The 401 of every route that wants a credential and got none that it knows."""
    return PlatformError(
        401,
        f"Unauthenticated: {why}",
        headers={"WWW-Authenticate": 'Bearer realm="cellblock"'},
    )
