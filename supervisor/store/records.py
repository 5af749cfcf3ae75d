"""What the store gives out: frozen records that need no connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

FunctionKey = tuple[str, str]  # space and name
ValueKind = Literal["secret", "variable"]
T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """All that a tenant can change about a function; equal contents are one version."""

    digest: str
    template: str
    description: str
    env: dict[str, str]
    options: dict[str, Any]


@dataclass(frozen=True)
class Version:
    """An immutable version of a function; ``number`` counts from 1 within the function."""

    number: int
    content: Content
    created_at: datetime


@dataclass(frozen=True)
class StoredFunction:
    """A function with its active version.  Times are UTC without a zone."""

    id: str
    space: str
    name: str
    active: Version
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Deployment:
    """What a front needs of a function's active version to answer its calls."""

    function_id: str
    space: str
    name: str
    version: int
    digest: str
    template: str
    env: dict[str, str]
    options: dict[str, Any]
    is_suspended: bool = False  # its space: it answers no call


@dataclass(frozen=True)
class Actor:
    """Who changes something: ``name`` is "admin", or the kind and id of a credential; "server" is ours.

    ``address`` is that of the caller, "" where there is none.
    """

    name: str
    address: str = ""


@dataclass(frozen=True)
class AuditLine:
    """Who did what to what, when and from where.  ``space`` is None for the whole server."""

    id: str
    at: datetime
    space: str | None
    actor: str
    address: str
    action: str
    target: str
    details: dict[str, Any]


@dataclass(frozen=True)
class SpaceRecord:
    """A space that was created and not deleted.  While ``suspended`` its functions answer no call."""

    name: str
    title: str
    suspended: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list, in order, and whether there is more on either side."""

    items: tuple[T, ...]
    more_before: bool
    more_after: bool


@dataclass(frozen=True)
class SpaceValue:
    """A secret or variable of a space; a secret's ``value`` is ``None``: nothing shows it again."""

    name: str
    updated_at: datetime
    value: Any = field(default=None, repr=False)  # a secret has no repr


@dataclass(frozen=True)
class SpaceValues:
    """Every secret and variable of a space, opened."""

    secrets: dict[str, str] = field(repr=False)
    variables: dict[str, Any] = field(repr=False)


class StaleWriteError(Exception):
    """The function has changed since it was read: read it, merge and write again."""
