"""The statements of aliases, each on the caller's connection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from supervisor.errors import PlatformError, shown
from supervisor.near_names import hint
from supervisor.store.records import Alias, WantedAlias
from supervisor.store.schema import aliases

# Each is a pool of instances, and a front remembers all of a function that is called.
ALIASES_MOST = 50


def of_function(connection: sa.Connection, function_id: str) -> tuple[Alias, ...]:
    """All aliases of a function, by name."""
    query = sa.select(aliases).where(aliases.c.function_id == function_id).order_by(aliases.c.name)
    return tuple(_alias(row) for row in connection.execute(query))


def named_versions(function_id: str) -> sa.Select[Any]:
    """The numbers of a function's versions that an alias names, as a subquery."""
    of = aliases.c.function_id == function_id
    return (
        sa.select(aliases.c.number)
        .where(of)
        .union_all(sa.select(aliases.c.canary).where(of, aliases.c.canary.is_not(None)))
        .subquery()
        .select()
    )


def no_version(field: str, name: str, number: int) -> PlatformError:
    """The 422 for a number in a field of the body, of which the function has no version."""
    return PlatformError(
        422,
        f"cannot accept {field}: {shown(name)} has no version {number}; "
        f"'cellblock versions {name}' lists what it has",
        {"field": field},
    )


def put(connection: sa.Connection, function_id: str, wanted: WantedAlias, now: datetime) -> None:
    """Make the alias, or replace it; PlatformError 422 when the function has ALIASES_MOST others."""
    mine = (aliases.c.function_id == function_id) & (aliases.c.name == wanted.name)
    row = {"number": wanted.version, "canary": wanted.canary, "share": wanted.share, "updated_at": now}
    if connection.execute(aliases.update().where(mine).values(**row)).rowcount:
        return
    counted = sa.select(sa.func.count()).where(aliases.c.function_id == function_id)
    if connection.execute(counted).scalar_one() >= ALIASES_MOST:
        raise PlatformError(
            422, f"a function has at most {ALIASES_MOST} aliases; delete one that nobody calls"
        )
    connection.execute(aliases.insert().values(function_id=function_id, name=wanted.name, **row))


def delete(connection: sa.Connection, function_id: str, name: str) -> None:
    """Delete an alias that there is."""
    connection.execute(aliases.delete().where(aliases.c.function_id == function_id, aliases.c.name == name))


def delete_all(connection: sa.Connection, function_id: str) -> None:
    """Delete the aliases of a function that is about to be deleted."""
    connection.execute(aliases.delete().where(aliases.c.function_id == function_id))


def not_found(function: str, name: str, known: Iterable[Alias]) -> PlatformError:
    """The 404 for an alias that a function does not have, with the names that may be meant."""
    names = [alias.name for alias in known]
    near = hint(name, names)
    return PlatformError(
        404,
        f"alias not found: {shown(function)} has no alias {shown(name)}; "
        + (near or f"'cellblock aliases list {function}' shows what it has"),
    )


def _alias(row: sa.Row[Any]) -> Alias:
    return Alias(row.name, row.number, row.canary, row.share, row.updated_at)
