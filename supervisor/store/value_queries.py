"""The queries of secrets and variables, each on the caller's connection.

Values arrive sealed; this module never sees one open.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from supervisor.errors import PlatformError, shown
from supervisor.near_names import hint
from supervisor.store.records import ValueKind
from supervisor.store.schema import space_values as table
from supervisor.store.tenants import space_queries

SPACE_MAX_VALUES = 1000  # secrets and variables of a space together
SPACE_MAX_BYTES = 512 * 1024  # of their names and values: every instance gets all of them


def not_found(connection: sa.Connection, space: str, kind: ValueKind, name: str) -> PlatformError:
    """The 404 for a value that the space does not have, with the names that may be meant."""
    if not space_queries.exists(connection, space):
        return space_queries.not_found(connection, space, f"{kind} not found")
    near = hint(name, (known for known, _, _ in listed(connection, space, kind)))
    return PlatformError(
        404, f"{kind} not found: space {shown(space)} has no {kind} {shown(name)}" + (near and f"; {near}")
    )


def put(
    connection: sa.Connection, space: str, kind: ValueKind, name: str, sealed: bytes, size: int, now: datetime
) -> bool:
    """Set a value; whether it is new.  ``size`` counts its bytes before sealing.

    PlatformError 422 when the space would hold more than SPACE_MAX_VALUES or SPACE_MAX_BYTES.
    """
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
    changed = connection.execute(
        table.update().where(*_is(space, kind, name)).values(sealed=sealed, size=size, updated_at=now)
    ).rowcount
    if changed:
        return False
    connection.execute(
        table.insert().values(space=space, kind=kind, name=name, sealed=sealed, size=size, updated_at=now)
    )
    return True


def get(connection: sa.Connection, space: str, kind: ValueKind, name: str) -> tuple[bytes, datetime] | None:
    """A sealed value and the time when it was set."""
    row = connection.execute(
        sa.select(table.c.sealed, table.c.updated_at).where(*_is(space, kind, name))
    ).one_or_none()
    return None if row is None else (row.sealed, row.updated_at)


def listed(connection: sa.Connection, space: str, kind: ValueKind) -> list[tuple[str, bytes, datetime]]:
    """The name, sealed value and time of every value of a kind, by name."""
    rows = connection.execute(
        sa.select(table.c.name, table.c.sealed, table.c.updated_at)
        .where(table.c.space == space, table.c.kind == kind)
        .order_by(table.c.name)
    )
    return [(row.name, row.sealed, row.updated_at) for row in rows]


def delete(connection: sa.Connection, space: str, kind: ValueKind, name: str) -> None:
    """Delete a value; PlatformError 404."""
    if not connection.execute(table.delete().where(*_is(space, kind, name))).rowcount:
        raise not_found(connection, space, kind, name)


def _is(space: str, kind: ValueKind, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.space == space, table.c.kind == kind, table.c.name == name
