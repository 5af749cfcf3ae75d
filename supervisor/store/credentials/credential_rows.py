"""What the statements of apps and of keys have in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from supervisor.errors import PlatformError, shown
from supervisor.store.credentials.credential_records import Grant
from supervisor.store.records import Page
from supervisor.store.schema import apps, revisions, space_keys

# Of a kind in a space: people and programs, not the callers of a function.
CREDENTIALS_MOST = 1000
KIND = "credentials"  # in ``revisions``

T = TypeVar("T")


def granted(space: str, name: str, grant: Grant, now: datetime) -> dict[str, Any]:
    """The columns that both tables have."""
    return {
        "space": space,
        "name": name,
        "scopes": list(grant.scopes),
        "functions": list(grant.functions),
        "created_at": now,
    }


def grant_of(row: sa.Row[Any]) -> Grant:
    """What a row grants."""
    return Grant(tuple(row.scopes), tuple(row.functions))


def check_room(connection: sa.Connection, table: sa.Table, space: str, name: str, what: str) -> None:
    """PlatformError 409 for a name that is taken, 422 where the space has CREDENTIALS_MOST."""
    of_space = table.c.space == space
    if connection.execute(sa.select(table.c.name).where(of_space, table.c.name == name)).first():
        raise PlatformError(
            409,
            f"cannot make {what} {shown(name)}: space {shown(space)} has one of that name; choose another",
        )
    number = connection.execute(sa.select(sa.func.count()).select_from(table).where(of_space)).scalar_one()
    if number >= CREDENTIALS_MOST:
        raise PlatformError(
            422,
            f"cannot make {what} {shown(name)}: a space has at most {CREDENTIALS_MOST} {what}s; remove one",
            {"limit": CREDENTIALS_MOST},
        )


def page(
    connection: sa.Connection,
    table: sa.Table,
    key: sa.Column[str],
    space: str,
    limit: int,
    after: str | None,
    before: str | None,
    made: Callable[[sa.Row[Any]], T],
) -> Page[T]:
    """At most ``limit`` rows of a space by ``key``, from after or before one."""
    query = sa.select(table).where(table.c.space == space).limit(limit + 1)
    if before is not None:
        rows = connection.execute(query.where(key < before).order_by(key.desc())).all()
        items = tuple(made(row) for row in reversed(rows[:limit]))
        return Page(items, len(rows) > limit, more_after=True)
    if after is not None:
        query = query.where(key > after)
    rows = connection.execute(query.order_by(key)).all()
    return Page(tuple(made(row) for row in rows[:limit]), after is not None, len(rows) > limit)


def taken_back(connection: sa.Connection) -> None:
    """Tell other servers, by the next revision, that a credential is none any more."""
    connection.execute(
        revisions.update().where(revisions.c.kind == KIND).values(number=revisions.c.number + 1)
    )


def delete_of_space(connection: sa.Connection, space: str) -> None:
    """Delete all credentials of a space that is deleted."""
    for table in (apps, space_keys):
        connection.execute(table.delete().where(table.c.space == space))
    taken_back(connection)
