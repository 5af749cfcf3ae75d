"""What the store gives out: frozen records, without a connection behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

FunctionKey = tuple[str, str]  # space and name
Kind = Literal["secret", "variable"]
T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """All that a tenant can change of a function: two equal contents are one version."""

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
class Function:
    """A function with its active version.  Times are UTC without a zone."""

    id: str
    space: str
    name: str
    active: Version
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Deployment:
    """What the gateway needs of a function's active version to answer a call."""

    function_id: str
    space: str
    name: str
    version: int
    digest: str
    template: str
    env: dict[str, str]
    options: dict[str, Any]


@dataclass(frozen=True)
class Page(Generic[T]):
    """A piece of a list, in order, and whether there is more on either side."""

    items: tuple[T, ...]
    more_before: bool
    more_after: bool


@dataclass(frozen=True)
class Value:
    """A secret or variable of a space; ``value`` is ``None`` where only its existence was asked for."""

    name: str
    updated_at: datetime
    value: Any = field(default=None, repr=False)  # a secret has no repr


@dataclass(frozen=True)
class SpaceValues:
    """Every secret and variable of a space, opened."""

    secrets: dict[str, str] = field(repr=False)
    variables: dict[str, Any] = field(repr=False)


class StaleWriteError(Exception):
    """The function changed since it was read: read it again, merge again, write again."""
