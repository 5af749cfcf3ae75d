"""The queries of functions and their versions, each on the caller's connection.

No function here begins or ends a transaction; ``Store`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from ulid import ULID

from supervisor.errors import PlatformError, shown
from supervisor.near_names import COMPARED_MOST, hint
from supervisor.store.aliases import alias_queries, label_queries
from supervisor.store.records import Content, Page, StaleWriteError, StoredFunction, Version
from supervisor.store.schema import functions, version_labels, versions
from supervisor.store.tenants import space_queries

_LABELLED = (version_labels.c.function_id == versions.c.function_id) & (
    version_labels.c.number == versions.c.number
)
_versions = sa.select(versions, version_labels.c.label).select_from(
    versions.outerjoin(version_labels, _LABELLED)
)
_active = sa.select(
    functions.c.id,
    functions.c.space,
    functions.c.name,
    functions.c.created_at.label("function_created_at"),
    functions.c.updated_at,
    versions,
    version_labels.c.label,
).select_from(
    functions.join(
        versions, (versions.c.function_id == functions.c.id) & (versions.c.number == functions.c.active)
    ).outerjoin(version_labels, _LABELLED)
)


def not_found(connection: sa.Connection, space: str, name: str) -> PlatformError:
    """The 404 for a function that the space does not have, with the names that may be meant."""
    if not space_queries.exists(connection, space):
        return space_queries.not_found(connection, space, "function not found")
    names = sa.select(functions.c.name).where(functions.c.space == space).order_by(functions.c.name)
    near = hint(name, connection.execute(names.limit(COMPARED_MOST)).scalars())
    return PlatformError(
        404,
        f"function not found: space {shown(space)} has no function {shown(name)}; "
        + (near or "'cellblock functions list' shows what it has"),
    )


def find(connection: sa.Connection, space: str, name: str) -> StoredFunction | None:
    """The function with its active version."""
    row = connection.execute(_active.where(*_is(space, name))).one_or_none()
    return None if row is None else _function(row)


def create(
    connection: sa.Connection,
    space: str,
    name: str,
    content: Content,
    now: datetime,
    label: str | None = None,
) -> StoredFunction:
    """A new function with version 1; PlatformError 409 when the name is taken."""
    taken = PlatformError(
        409,
        f"This function already exists: {shown(name)} in space {shown(space)}; "
        "change it with PUT, or choose another name",
    )
    if connection.execute(sa.select(functions.c.id).where(*_is(space, name))).first():
        raise taken
    identifier = str(ULID())
    try:
        connection.execute(
            functions.insert().values(
                id=identifier,
                space=space,
                name=name,
                active=1,
                last_number=1,
                created_at=now,
                updated_at=now,
            )
        )
    except exc.IntegrityError:  # another server committed it since we looked
        raise taken from None
    _insert_version(connection, identifier, 1, content, now)
    if label is not None:
        label_queries.put(connection, identifier, name, 1, label)
    return StoredFunction(identifier, space, name, Version(1, content, now, label), now, now)


def deploy(
    connection: sa.Connection,
    based_on: StoredFunction,
    content: Content,
    now: datetime,
    kept: int,
    label: str | None = None,
) -> tuple[StoredFunction, bool]:
    """Make ``content`` the active version; the function, and whether a version was added.

    The active version's content again adds none, but gives that version the label.  ``kept`` versions stay,
    the newest.  StaleWriteError when the function has changed since ``based_on``, which the content was
    merged and checked with.
    """
    found = find(connection, based_on.space, based_on.name)
    if found is None:
        raise not_found(connection, based_on.space, based_on.name)
    if (found.id, found.active.number) != (based_on.id, based_on.active.number):
        raise StaleWriteError
    if found.active.content == content:
        if label is not None:
            label_queries.put(connection, found.id, found.name, found.active.number, label)
            found = found._replace(active=found.active._replace(label=label))
        return found, False
    number = (
        1
        + connection.execute(
            sa.select(functions.c.last_number).where(functions.c.id == found.id)
        ).scalar_one()
    )
    _insert_version(connection, found.id, number, content, now)
    connection.execute(
        functions.update()
        .where(functions.c.id == found.id)
        .values(active=number, last_number=number, updated_at=now)
    )
    if label is not None:
        label_queries.put(connection, found.id, found.name, number, label)
    forget_old(connection, found.id, kept)
    made = Version(number, content, now, label)
    return StoredFunction(found.id, found.space, found.name, made, found.created_at, now), True


def version_to_roll_back_to(
    connection: sa.Connection, space: str, name: str, number: int | None
) -> tuple[StoredFunction, Version]:
    """The function and its version ``number``; ``None`` means the one before the active version.

    PlatformError 404 when there is no such function or version, 409 when the active version is the first.
    """
    found = find(connection, space, name)
    if found is None:
        raise not_found(connection, space, name)
    query = _versions.where(versions.c.function_id == found.id)
    if number is None:
        query = query.where(versions.c.number < found.active.number)
        row = connection.execute(query.order_by(versions.c.number.desc()).limit(1)).one_or_none()
        if row is None:
            raise PlatformError(
                409,
                f"cannot roll back {shown(name)}: version {found.active.number} is the oldest that it has",
            )
    else:
        if (one := version(connection, found, number)) is not None:
            return found, one
        raise PlatformError(
            404,
            f"version not found: {shown(name)} has no version {number}; "
            f"GET /spaces/{space}/functions/{name}/versions lists what it has",
        )
    return found, _version(row)


def version(connection: sa.Connection, function: StoredFunction, number: int) -> Version | None:
    """A version of a function by its number."""
    mine = (versions.c.function_id == function.id) & (versions.c.number == number)
    row = connection.execute(_versions.where(mine)).one_or_none()
    return None if row is None else _version(row)


def activate(
    connection: sa.Connection, based_on: StoredFunction, version: Version, now: datetime
) -> StoredFunction:
    """Make an existing version the active one; StaleWriteError as with deploy."""
    found = find(connection, based_on.space, based_on.name)
    if found is None:
        raise not_found(connection, based_on.space, based_on.name)
    if (found.id, found.active.number) != (based_on.id, based_on.active.number):
        raise StaleWriteError
    if version.number == found.active.number:
        return found
    mine = (versions.c.function_id == found.id) & (versions.c.number == version.number)
    if connection.execute(sa.select(versions.c.number).where(mine)).first() is None:
        raise StaleWriteError  # it was old, and is no longer kept
    connection.execute(
        functions.update().where(functions.c.id == found.id).values(active=version.number, updated_at=now)
    )
    return StoredFunction(found.id, found.space, found.name, version, found.created_at, now)


def delete(
    connection: sa.Connection, space: str, name: str, check: Callable[[StoredFunction], None] | None = None
) -> frozenset[str]:
    """Delete a function with all its versions and their names; the digests that the versions named.

    PlatformError 404.  ``check`` looks at the function first, and may raise.
    """
    found = find(connection, space, name)
    if found is None:
        raise not_found(connection, space, name)
    if check is not None:
        check(found)
    identifier = found.id
    mine = versions.c.function_id == identifier
    digests = connection.execute(sa.select(versions.c.digest).where(mine).distinct()).scalars().all()
    alias_queries.delete_all(connection, identifier)
    connection.execute(version_labels.delete().where(version_labels.c.function_id == identifier))
    connection.execute(versions.delete().where(mine))
    connection.execute(functions.delete().where(functions.c.id == identifier))
    return frozenset(digests)


def forget_old(connection: sa.Connection, identifier: str, kept: int) -> None:
    """Delete a function's versions but the newest ``kept``, the active one, and those of aliases."""
    mine = versions.c.function_id == identifier
    newest = (
        sa.select(versions.c.number)
        .where(mine)
        .order_by(versions.c.number.desc())
        .limit(kept)
        .scalar_subquery()
    )
    active = sa.select(functions.c.active).where(functions.c.id == identifier).scalar_subquery()
    connection.execute(
        versions.delete().where(
            mine,
            versions.c.number.not_in(newest),
            versions.c.number != active,
            versions.c.number.not_in(alias_queries.named_versions(identifier)),
        )
    )


def page(
    connection: sa.Connection, space: str, limit: int, after: str | None, before: str | None
) -> Page[StoredFunction]:
    """At most ``limit`` functions of a space by name; only those after or before a name that is given."""
    query = _active.where(functions.c.space == space)
    if before is not None:
        query = query.where(functions.c.name < before).order_by(functions.c.name.desc())
    else:
        query = query.order_by(functions.c.name)
        if after is not None:
            query = query.where(functions.c.name > after)
    items = [_function(row) for row in connection.execute(query.limit(limit + 1))]
    more = len(items) > limit
    items = items[:limit]
    if before is not None:
        return Page(tuple(reversed(items)), more_before=more, more_after=True)
    return Page(tuple(items), more_before=after is not None, more_after=more)


def page_of_versions(
    connection: sa.Connection, space: str, name: str, limit: int, before: int | None
) -> tuple[StoredFunction, Page[Version]]:
    """The newest ``limit`` versions, newest first, or those older than ``before``; PlatformError 404."""
    found = find(connection, space, name)
    if found is None:
        raise not_found(connection, space, name)
    query = _versions.where(versions.c.function_id == found.id)
    if before is not None:
        query = query.where(versions.c.number < before)
    rows = connection.execute(query.order_by(versions.c.number.desc()).limit(limit + 1)).all()
    items = tuple(_version(row) for row in rows[:limit])
    return found, Page(items, more_before=before is not None, more_after=len(rows) > limit)


def digests(connection: sa.Connection) -> frozenset[str]:
    """The digest of every bundle that a version names."""
    return frozenset(connection.execute(sa.select(versions.c.digest).distinct()).scalars())


def _is(space: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return functions.c.space == space, functions.c.name == name


def _insert_version(
    connection: sa.Connection, identifier: str, number: int, content: Content, now: datetime
) -> None:
    connection.execute(
        versions.insert().values(
            function_id=identifier,
            number=number,
            digest=content.digest,
            template=content.template,
            description=content.description,
            env=content.env,
            options=content.options,
            created_at=now,
        )
    )


def _version(row: sa.Row[Any]) -> Version:
    content = Content(row.digest, row.template, row.description, row.env, row.options)
    return Version(row.number, content, row.created_at, row.label)


def _function(row: sa.Row[Any]) -> StoredFunction:
    return StoredFunction(row.id, row.space, row.name, _version(row), row.function_created_at, row.updated_at)
