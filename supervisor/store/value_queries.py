"""The queries of secrets and variables, each on the caller's connection.

Values arrive sealed; this module never sees one open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from supervisor.errors import PlatformError, shown
from supervisor.near_names import hint
from supervisor.store.records import UNCHANGED, Allowed, Unchanged, ValueKind
from supervisor.store.schema import space_values as table
from supervisor.store.tenants import space_queries

SPACE_MAX_VALUES = 1000  # secrets and variables of a space together
SPACE_MAX_BYTES = 512 * 1024  # of their names, lists and values: an instance may get all of them


@dataclass(frozen=True)
class SealedValue:
    """A value as it is stored; ``size`` counts the bytes of its name and of its plain value."""

    sealed: bytes
    sealed_by: str
    size: int


@dataclass(frozen=True)
class ValueRow:
    """A sealed value, and what is shown of it."""

    name: str
    sealed: bytes
    updated_at: datetime
    functions: Allowed


def not_found(connection: sa.Connection, space: str, kind: ValueKind, name: str) -> PlatformError:
    """The 404 for a value that the space does not have, with the names that may be meant."""
    if not space_queries.exists(connection, space):
        return space_queries.not_found(connection, space, f"{kind} not found")
    near = hint(name, (row.name for row in listed(connection, space, kind)))
    return PlatformError(
        404, f"{kind} not found: space {shown(space)} has no {kind} {shown(name)}" + (near and f"; {near}")
    )


def put(
    connection: sa.Connection,
    space: str,
    kind: ValueKind,
    name: str,
    value: SealedValue,
    functions: Allowed | Unchanged,
    now: datetime,
) -> bool:
    """Set a value; whether it is new.

    PlatformError 422 when the space would hold more than SPACE_MAX_VALUES or SPACE_MAX_BYTES.
    """
    if functions is UNCHANGED:
        before = get(connection, space, kind, name)
        functions = None if before is None else before.functions
    size = value.size + sum(map(len, functions or ()))
    _check_room(connection, space, kind, name, size)
    row = {
        "sealed": value.sealed,
        "sealed_by": value.sealed_by,
        "size": size,
        "updated_at": now,
        "functions": None if functions is None else list(functions),
    }
    if connection.execute(table.update().where(*_is(space, kind, name)).values(row)).rowcount:
        return False
    connection.execute(table.insert().values(space=space, kind=kind, name=name, **row))
    return True


def _check_room(connection: sa.Connection, space: str, kind: ValueKind, name: str, size: int) -> None:
    others = ~((table.c.kind == kind) & (table.c.name == name))
    count, used = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.size), 0))
        .select_from(table)
        .where(table.c.space == space, others)
    ).one()
    if count + 1 > SPACE_MAX_VALUES:
        raise PlatformError(
            422,
            f"cannot set {kind} {shown(name)}: a space holds at most {SPACE_MAX_VALUES} secrets and "
            "variables; delete some first",
            {"limit": SPACE_MAX_VALUES},
        )
    if used + size > SPACE_MAX_BYTES:
        raise PlatformError(
            422,
            f"cannot set {kind} {shown(name)}: the space's secrets and variables would be "
            f"{used + size} bytes, and {SPACE_MAX_BYTES} is the most; delete or shorten some first",
            {"limit": SPACE_MAX_BYTES, "used": int(used)},
        )


def get(connection: sa.Connection, space: str, kind: ValueKind, name: str) -> ValueRow | None:
    """A value, if the space has it."""
    row = connection.execute(_rows().where(*_is(space, kind, name))).one_or_none()
    return None if row is None else _row(row)


def listed(connection: sa.Connection, space: str, kind: ValueKind) -> list[ValueRow]:
    """Every value of a kind, by name."""
    found = connection.execute(
        _rows().where(table.c.space == space, table.c.kind == kind).order_by(table.c.name)
    )
    return [_row(row) for row in found]


def delete(connection: sa.Connection, space: str, kind: ValueKind, name: str) -> None:
    """Delete a value; PlatformError 404."""
    if not connection.execute(table.delete().where(*_is(space, kind, name))).rowcount:
        raise not_found(connection, space, kind, name)


def _is(space: str, kind: ValueKind, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.space == space, table.c.kind == kind, table.c.name == name


def _rows() -> sa.Select[Any]:
    return sa.select(table.c.name, table.c.sealed, table.c.updated_at, table.c.functions)


def _row(row: sa.Row[Any]) -> ValueRow:
    functions = None if row.functions is None else tuple(row.functions)
    return ValueRow(row.name, row.sealed, row.updated_at, functions)
