"""The queries of bundles and their pieces, each on the caller's connection."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import exc
from ulid import ULID

from supervisor.store.records import StaleWriteError
from supervisor.store.schema import bundle_pieces, bundles, versions


def touch(connection: sa.Connection, digest: str, now: datetime) -> bool:
    """Keep a bundle from ``delete_unused`` for a while; whether it is in the store."""
    changed = connection.execute(bundles.update().where(bundles.c.digest == digest).values(used_at=now))
    return bool(changed.rowcount)


def require(connection: sa.Connection, digest: str) -> None:
    """StaleWriteError when the store has not this bundle: it was deleted with a space that had it alone."""
    if connection.execute(sa.select(bundles.c.digest).where(bundles.c.digest == digest)).first() is None:
        raise StaleWriteError


def add_piece(connection: sa.Connection, upload: str, number: int, content: bytes) -> None:
    """Keep a piece of a bundle that no row names yet."""
    connection.execute(bundle_pieces.insert().values(upload=upload, number=number, content=content))


def name(connection: sa.Connection, digest: str, upload: str, pieces: int, size: int, now: datetime) -> bool:
    """Make the pieces a bundle; False when another upload of the same bundle was first."""
    if touch(connection, digest, now):
        return False
    row = {"digest": digest, "upload": upload, "pieces": pieces, "size": size, "used_at": now}
    try:
        with connection.begin_nested():
            connection.execute(bundles.insert().values(row))
    except exc.IntegrityError:  # another server committed it since we looked
        return False
    return True


def delete_pieces(connection: sa.Connection, upload: str) -> None:
    """Delete the pieces of an upload, unless a row names them."""
    is_named = sa.select(bundles.c.upload).where(bundles.c.upload == upload).exists()
    connection.execute(bundle_pieces.delete().where(bundle_pieces.c.upload == upload, ~is_named))


def delete_unused(connection: sa.Connection, before: datetime) -> tuple[str, ...]:
    """Delete the rows of bundles that no version names, not used since ``before``; their digests."""
    unused = sa.select(bundles.c.digest).where(
        bundles.c.used_at < before, bundles.c.digest.not_in(sa.select(versions.c.digest))
    )
    digests = tuple(sorted(connection.execute(unused).scalars()))
    for digest in digests:
        connection.execute(bundles.delete().where(bundles.c.digest == digest))
    return digests


def unnamed_uploads(connection: sa.Connection, before: datetime) -> tuple[str, ...]:
    """The uploads that began before then and whose pieces no row names."""
    latest = str(ULID.from_timestamp(before.replace(tzinfo=UTC).timestamp()))
    found = (
        sa.select(bundle_pieces.c.upload)
        .where(bundle_pieces.c.upload < latest, bundle_pieces.c.upload.not_in(sa.select(bundles.c.upload)))
        .distinct()
    )
    return tuple(connection.execute(found).scalars())


def absent(connection: sa.Connection) -> tuple[str, ...]:
    """The digests that versions name and that are not in the store."""
    found = sa.select(versions.c.digest).where(versions.c.digest.not_in(sa.select(bundles.c.digest)))
    return tuple(sorted(set(connection.execute(found).scalars())))
