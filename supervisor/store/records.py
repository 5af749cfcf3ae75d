"""What the store gives out: frozen records that need no connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
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
    label: str | None = None


@dataclass(frozen=True)
class WantedAlias:
    """A name that is called, and whose version may change: ``NAME@prod``.

    ``share`` of its calls, in hundredths of a percent, go to the version ``canary``; 0 without one.
    """

    name: str
    version: int
    canary: int | None
    share: int


@dataclass(frozen=True)
class Alias(WantedAlias):
    """An alias as it is stored."""

    updated_at: datetime


@dataclass(frozen=True)
class CalledAlias(WantedAlias):
    """What a front needs of an alias; ``options`` are those of its one or two versions, by number."""

    options: Mapping[int, Mapping[str, Any]]


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


class Page(NamedTuple, Generic[T]):
    """A part of a list, in order, and whether there is more on either side."""

    items: tuple[T, ...]
    more_before: bool
    more_after: bool


# The functions that get a value, by name; None: every function of its space.
Allowed = tuple[str, ...] | None


class Unchanged(Enum):
    """Stands for an ``Allowed`` that stays as it was; of a new value it is every function."""

    UNCHANGED = auto()


UNCHANGED = Unchanged.UNCHANGED


@dataclass(frozen=True)
class SpaceValue:
    """A secret or variable of a space; a secret's ``value`` is ``None``: nothing shows it again."""

    name: str
    updated_at: datetime
    value: Any = field(default=None, repr=False)  # a secret has no repr
    functions: Allowed = None


@dataclass(frozen=True)
class SpaceValues:
    """Every secret and variable of a space, opened.

    ``lists`` has the functions of those that not every function gets, by kind and name.
    """

    secrets: dict[str, str] = field(repr=False)
    variables: dict[str, Any] = field(repr=False)
    lists: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def has_list_for(self, function: str) -> bool:
        """Whether some list names this function."""
        return any(function in names for names in self.lists.values())

    def of(self, function: str) -> SpaceValues:
        """What this function gets of it."""

        def given(kind: ValueKind, values: dict[str, Any]) -> dict[str, Any]:
            return {
                name: value
                for name, value in values.items()
                if (names := self.lists.get((kind, name))) is None or function in names
            }

        return SpaceValues(given("secret", self.secrets), given("variable", self.variables))


@dataclass(frozen=True)
class QuotasOfSpace:
    """The quotas of a space by their names; ``row`` is its row of the fronts' counters.

    ``id`` is another one once the quotas were removed and set again.
    """

    space: str
    id: str
    row: int
    limits: dict[str, int]


@dataclass(frozen=True)
class StoredNow:
    """What a space holds."""

    functions: int
    bytes: int


@dataclass(frozen=True)
class UsageOfDay:
    """What one function, or a whole space, used on a day.

    ``bytes_stored`` is the most that its code had on that day; ``memory_byte_s`` adds up the highest memory
    of each call's instance times the duration of its run.
    """

    space: str
    day: str
    function: str
    outcomes: dict[str, int]
    cpu_us: int
    memory_byte_s: int
    bytes_in: int
    bytes_out: int
    bytes_logged: int
    bytes_stored: int


@dataclass(frozen=True)
class ClosedSpace:
    """What a space that was deleted has used in all; ``usage.bytes_stored`` adds up its days.

    Its days are "" if it has used nothing.
    """

    id: str
    closed_at: datetime
    first_day: str
    last_day: str
    usage: UsageOfDay


class StaleWriteError(Exception):
    """The function has changed since it was read: read it, merge and write again."""
