"""The bodies of requests and answers about apps, keys and callers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from supervisor.front.api.schemas import Label, Paging, stamp
from supervisor.store.credentials.credential_records import App, Grant, SpaceKey
from supervisor.tenancy.principal import Principal
from supervisor.tenancy.scopes import WORDS

# Of a credential that is bound to some: more of them are rather a space of their own.
FUNCTIONS_MOST = 100
OVERLAP_DEFAULT_S, OVERLAP_MOST_S = 86_400, 30 * 86_400
MOMENT_OF_EXPIRY = (
    r"^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)


def _scopes(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"it has to be a list with some of {', '.join(WORDS)}")
    for word in value:
        if word not in WORDS:
            raise ValueError(f"it has a word that is none of {', '.join(WORDS)}")
    return [word for word in WORDS if word in value]


def _expiry(value: Any) -> datetime | None:
    """The moment in UTC without a zone, as the store has it."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(MOMENT_OF_EXPIRY.strip("^$"), value):
        raise ValueError("it has to be a time as RFC 3339 writes it, such as 2030-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueError("there is no such day") from None
    if moment <= datetime.now(UTC).replace(tzinfo=None):
        raise ValueError("it is over already; choose a later time, or leave it out")
    return moment


Scopes = Annotated[
    list[str],
    BeforeValidator(_scopes),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "enum": list(WORDS)},
            "minItems": 1,
            "maxItems": 10 * len(WORDS),
        }
    ),
    Field(max_length=10 * len(WORDS), description="what it may do; function stands for all of function.*"),
]
Functions = Annotated[
    list[Label] | None,
    Field(
        min_length=1,
        max_length=FUNCTIONS_MOST,
        description="only these functions may be called, and their logs and calls be read; null: all",
    ),
]
Expiry = Annotated[
    datetime | None,
    BeforeValidator(_expiry),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": MOMENT_OF_EXPIRY}, {"type": "null"}]}),
    Field(description="from then on it is refused; null: never"),
]


class _CredentialIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Label = Field(description="what its holder is called")
    scopes: Scopes
    functions: Functions = None

    @property
    def grant(self) -> Grant:
        """What it may."""
        return Grant(tuple(self.scopes), tuple(dict.fromkeys(self.functions or ())))


class AppCreate(_CredentialIn):
    """An app to be made."""


class KeyCreate(_CredentialIn):
    """A key to be made."""

    expires_at: Expiry = None


class Rotation(BaseModel):
    """How an app's secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(
        OVERLAP_DEFAULT_S, ge=0, le=OVERLAP_MOST_S, strict=True,
        description="so long the secret before still works",
    )  # fmt: skip


class _CredentialOut(BaseModel):
    name: str
    scopes: list[str]
    functions: list[str] | None = Field(description="null: all of the space")
    created_at: str


class AppOut(_CredentialOut):
    """An app, without its secret."""

    client_id: str

    @classmethod
    def of(cls, app: App) -> Self:
        """As the store has it."""
        return cls(client_id=app.client_id, **_shared(app))


class KeyOut(_CredentialOut):
    """A key, without what its holder sends."""

    id: str
    expires_at: str | None = None

    @classmethod
    def of(cls, key: SpaceKey) -> Self:
        """As the store has it."""
        until = None if key.expires_at is None else stamp(key.expires_at)
        return cls(id=key.id, expires_at=until, **_shared(key))


def _shared(one: App | SpaceKey) -> dict[str, Any]:
    return {
        "name": one.name,
        "scopes": list(one.grant.scopes),
        "functions": list(one.grant.functions) or None,
        "created_at": stamp(one.created_at),
    }


class AppMade(AppOut):
    """A new app with its secret, which nothing shows again."""

    client_secret: str = ""


class AppRotated(BaseModel):
    """The new secret, which nothing shows again."""

    client_id: str
    client_secret: str
    previous_until: str = Field(description="until then the secret before still works")


class KeyMade(KeyOut):
    """A new key with what its holder sends, which nothing shows again."""

    key: str = ""


class AppList(BaseModel):
    """A page of apps."""

    data: list[AppOut]
    paging: Paging


class KeyList(BaseModel):
    """A page of keys."""

    data: list[KeyOut]
    paging: Paging


class CallerOut(BaseModel):
    """Who a caller is, as the server sees it."""

    name: str = Field(description="admin, or app or key and its id")
    is_administrator: bool
    space: str | None = Field(description="the only one that it sees; null: all")
    scopes: list[str] = Field(description="empty for the administrator, who needs none")
    functions: list[str] | None = Field(description="null: all")
    expires_at: str | None

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """As the gate has recognised it."""
        until, bound = principal.expires_at, principal.functions
        return cls(
            name=principal.name,
            is_administrator=principal.is_admin,
            space=principal.space,
            scopes=sorted(principal.scopes),
            functions=None if bound is None else sorted(bound),
            expires_at=None
            if until is None
            else stamp(datetime.fromtimestamp(until, UTC).replace(tzinfo=None)),
        )
