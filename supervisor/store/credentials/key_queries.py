"""The statements of keys, each on the caller's connection."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from supervisor.errors import PlatformError, shown
from supervisor.store.credentials import credential_rows
from supervisor.store.credentials.credential_records import Grant, SpaceKey
from supervisor.store.records import Page
from supervisor.store.schema import space_keys


def create_key(
    connection: sa.Connection,
    space: str,
    name: str,
    grant: Grant,
    digest: str,
    expires_at: datetime | None,
    now: datetime,
) -> SpaceKey:
    """A new key; PlatformError 409 for a name that is taken, 422 for one too many."""
    credential_rows.check_room(connection, space_keys, space, name, "key")
    key = SpaceKey(str(ULID()), space, name, grant, now, expires_at)
    connection.execute(
        space_keys.insert().values(
            id=key.id,
            digest=digest,
            expires_at=expires_at,
            **credential_rows.granted(space, name, grant, now),
        )
    )
    return key


def page_of_keys(
    connection: sa.Connection, space: str, limit: int, after: str | None, before: str | None
) -> Page[SpaceKey]:
    """At most ``limit`` keys of a space in the order they were made."""
    return credential_rows.page(connection, space_keys, space_keys.c.id, space, limit, after, before, _key)


def delete_key(connection: sa.Connection, space: str, identifier: str) -> SpaceKey:
    """Delete a key; PlatformError 404."""
    of_key = (space_keys.c.space == space) & (space_keys.c.id == identifier)
    row = connection.execute(sa.select(space_keys).where(of_key)).one_or_none()
    if row is None:
        raise PlatformError(404, f"key not found: space {shown(space)} has no key {shown(identifier)}")
    connection.execute(space_keys.delete().where(of_key))
    return _key(row)


def _key(row: sa.Row[Any]) -> SpaceKey:
    grant = credential_rows.grant_of(row)
    return SpaceKey(row.id, row.space, row.name, grant, row.created_at, row.expires_at)
