"""What the store gives out of credentials: frozen records without a secret.  Times are UTC without a zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Grant:
    """What a credential may: ``scopes`` as they were given; no ``functions`` stands for every function."""

    scopes: tuple[str, ...]
    functions: tuple[str, ...] = ()


@dataclass(frozen=True)
class App:
    """A program of a space that gets access tokens for its secret."""

    client_id: str
    space: str
    name: str
    grant: Grant
    created_at: datetime


@dataclass(frozen=True)
class SpaceKey:
    """A long-lived key of a space."""

    id: str
    space: str
    name: str
    grant: Grant
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class FoundCredential:
    """Whose a key or an access token is; ``name`` is as ``Principal.name``."""

    name: str
    space: str
    grant: Grant
    expires_at: datetime | None
