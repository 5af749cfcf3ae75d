"""The statements of spaces, each on the caller's connection.

Rule 1: whoever changes something of a space asks ``require_for_change`` first, in the same transaction.  It
holds the space's row against a delete until that transaction ends, so nothing is added to a deleted space.
Rule 2: a space that is being deleted is not there for anybody.  Only its name is still taken.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from supervisor.errors import PlatformError, shown
from supervisor.near_names import COMPARED_MOST, hint
from supervisor.store.code import bundle_queries
from supervisor.store.records import Actor, Page, SpaceRecord
from supervisor.store.schema import bundles, functions, metadata, spaces, versions

# Who may change a suspended space: the administrator, and the server itself.
NEVER_SUSPENDED = ("admin", "server")

# The time of a bundle's last use that says: of a deleted space, and nobody else's.  UTC without a zone.
NEVER_AGAIN = datetime(1970, 1, 1)
# Rows with a space that stay when it is deleted.  Of all other tables with a column ``space`` they go, and
# of those that refer to one of these.
KEPT = frozenset({"audit"})
# What is written down of a space before its rows are deleted, in the same transaction.
CLOSING: tuple[Callable[[sa.Connection, str, datetime], None], ...] = ()

_there = spaces.c.deleting.is_(sa.false())


def exists(connection: sa.Connection, name: str) -> bool:
    """Whether there is this space."""
    query = sa.select(spaces.c.name).where(spaces.c.name == name, _there)
    return connection.execute(query).first() is not None


def not_found(connection: sa.Connection, name: str, what: str = "space not found") -> PlatformError:
    """The 404 for a space that there is not, with the names that may be meant.

    Only the administrator is told of other spaces: nobody else gets this far in a space that is not theirs.
    """
    names = sa.select(spaces.c.name).where(_there).order_by(spaces.c.name).limit(COMPARED_MOST)
    near = hint(name, connection.execute(names).scalars())
    return PlatformError(
        404,
        f"{what}: there is no space {shown(name)}; " + (near or "'cellblock spaces create' makes one"),
    )


def require_for_change(connection: sa.Connection, name: str, actor: Actor) -> None:
    """Hold the space's row until the transaction ends; PlatformError 404, or 403 for one that is suspended.

    The administrator may change a suspended space.
    """
    held = sa.select(spaces.c.suspended).where(spaces.c.name == name, _there).with_for_update(read=True)
    is_suspended = connection.execute(held).scalar_one_or_none()
    if is_suspended is None:
        raise not_found(connection, name)
    if is_suspended and actor.name not in NEVER_SUSPENDED:
        raise suspended(name)


def suspended(name: str) -> PlatformError:
    """The 403 of a call or a change in a suspended space."""
    return PlatformError(
        403,
        f"space {shown(name)} is suspended: it takes no calls and no changes until the server's operator "
        "resumes it; ask the operator",
        {"reason": "suspended"},
    )


def find(connection: sa.Connection, name: str) -> SpaceRecord:
    """A space; PlatformError 404."""
    row = connection.execute(sa.select(spaces).where(spaces.c.name == name, _there)).one_or_none()
    if row is None:
        raise not_found(connection, name)
    return _record(row)


def page(connection: sa.Connection, limit: int, after: str | None, only: str | None) -> Page[SpaceRecord]:
    """At most ``limit`` spaces by name, after a name; ``only`` is the one that the caller may see."""
    query = sa.select(spaces).where(_there).order_by(spaces.c.name)
    if after is not None:
        query = query.where(spaces.c.name > after)
    if only is not None:
        query = query.where(spaces.c.name == only)
    rows = connection.execute(query.limit(limit + 1)).all()
    items = tuple(_record(row) for row in rows[:limit])
    return Page(items, more_before=after is not None, more_after=len(rows) > limit)


def create(connection: sa.Connection, name: str, title: str, now: datetime) -> SpaceRecord:
    """A new space; PlatformError 409 when there is one of that name, or one is being deleted."""
    is_deleting = connection.execute(
        sa.select(spaces.c.deleting).where(spaces.c.name == name)
    ).scalar_one_or_none()
    if is_deleting is not None:
        raise taken(name, is_deleting)
    row = {"name": name, "title": title, "suspended": False, "deleting": False}
    connection.execute(spaces.insert().values(**row, created_at=now, updated_at=now))
    return SpaceRecord(name, title, False, now, now)


def taken(name: str, is_deleting: bool = False) -> PlatformError:
    """The 409 for a name that is not free."""
    if is_deleting:
        return PlatformError(
            409, f"space {shown(name)} is being deleted; try again in a moment", headers={"Retry-After": "1"}
        )
    return PlatformError(
        409, f"This space already exists: {shown(name)}; change it with PUT, or choose another name"
    )


def change(
    connection: sa.Connection, name: str, title: str | None, is_suspended: bool | None, now: datetime
) -> tuple[SpaceRecord, SpaceRecord]:
    """Change what is not None; the space before and after.  PlatformError 404."""
    before = find(connection, name)
    after = SpaceRecord(
        name,
        before.title if title is None else title,
        before.suspended if is_suspended is None else is_suspended,
        before.created_at,
        now,
    )
    if (after.title, after.suspended) == (before.title, before.suspended):
        return before, before
    values = {"title": after.title, "suspended": after.suspended, "updated_at": now}
    connection.execute(spaces.update().where(spaces.c.name == name).values(**values))
    return before, after


def begin_delete(connection: sa.Connection, name: str, now: datetime) -> tuple[str, ...]:
    """Delete every row of a space but what KEPT has; the names of its functions.  PlatformError 404.

    The bundles that only this space names are marked as not used for ever: a deploy of the same code that
    goes on elsewhere takes the mark away.
    """
    held = sa.select(spaces.c.name).where(spaces.c.name == name, _there).with_for_update()
    if connection.execute(held).scalar_one_or_none() is None:
        raise not_found(connection, name)
    names = connection.execute(sa.select(functions.c.name).where(functions.c.space == name)).scalars().all()
    for closing in CLOSING:
        closing(connection, name, now)
    named = sa.select(versions.c.digest).join_from(versions, functions)
    mine = named.where(functions.c.space == name)
    others = named.where(functions.c.space != name)
    connection.execute(
        bundles.update()
        .where(bundles.c.digest.in_(mine), bundles.c.digest.not_in(others))
        .values(used_at=NEVER_AGAIN)
    )
    for table in reversed(metadata.sorted_tables):  # what refers to another comes first
        if "space" in table.c and table.name not in KEPT:
            connection.execute(table.delete().where(table.c.space == name))
    connection.execute(
        spaces.update().where(spaces.c.name == name).values(deleting=True, title="", updated_at=now)
    )
    return tuple(names)


def deleting(connection: sa.Connection) -> tuple[str, ...]:
    """The spaces that are being deleted."""
    query = sa.select(spaces.c.name).where(spaces.c.deleting.is_(sa.true())).order_by(spaces.c.name)
    return tuple(connection.execute(query).scalars())


def marked_bundles(connection: sa.Connection) -> tuple[str, ...]:
    """The digests of the bundles that ``begin_delete`` marked, and that no version names since."""
    found = sa.select(bundles.c.digest).where(_is_marked()).order_by(bundles.c.digest)
    return tuple(connection.execute(found).scalars())


def delete_bundle(connection: sa.Connection, digest: str) -> None:
    """Delete a bundle with its pieces, if it is still marked."""
    wanted = sa.select(bundles.c.upload).where(_is_marked(), bundles.c.digest == digest)
    upload = connection.execute(wanted).scalar_one_or_none()
    if upload is not None:
        connection.execute(bundles.delete().where(bundles.c.digest == digest))
        bundle_queries.delete_pieces(connection, upload)


def _is_marked() -> sa.ColumnElement[bool]:
    return (bundles.c.used_at == NEVER_AGAIN) & bundles.c.digest.not_in(sa.select(versions.c.digest))


def end_delete(connection: sa.Connection, name: str) -> None:
    """Free the name of a space: nothing of it is left."""
    connection.execute(spaces.delete().where(spaces.c.name == name, spaces.c.deleting.is_(sa.true())))


def _record(row: sa.Row[Any]) -> SpaceRecord:
    return SpaceRecord(row.name, row.title, row.suspended, row.created_at, row.updated_at)
