"""What the store gives out: frozen records that need no connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, TypeVar

FunctionKey = tuple[str, str]  # space and name
ValueKind = Literal["secret", "variable"]
T = TypeVar("T")


class Content(NamedTuple):
    """All that a tenant can change about a function; equal contents are one version."""

    digest: str
    template: str
    description: str
    env: dict[str, str]
    options: dict[str, Any]


class Version(NamedTuple):
    """An immutable version of a function; ``number`` counts from 1 within the function."""

    number: int
    content: Content
    created_at: datetime


class StoredFunction(NamedTuple):
    """A function with its active version.  Times are UTC without a zone."""

    id: str
    space: str
    name: str
    active: Version
    created_at: datetime
    updated_at: datetime


class Deployment(NamedTuple):
    """What a front needs of a function's active version to answer its calls."""

    function_id: str
    space: str
    name: str
    version: int
    digest: str
    template: str
    env: dict[str, str]
    options: dict[str, Any]


class Page(NamedTuple, Generic[T]):
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
