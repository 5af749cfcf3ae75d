"""A store becomes a file: all of its tables as one snapshot has them, while others go on writing.

The file gets its name when it is whole and on disk.  Bundles that no version names stay out.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy import exc

from supervisor import __version__
from supervisor.errors import ConfigurationError
from supervisor.store import database
from supervisor.store.backup import backup_file, sealed_key
from supervisor.store.backup.backup_file import FrameWriter, Header, Progress
from supervisor.store.drivers import driver_of
from supervisor.store.migrate import HEAD
from supervisor.store.plain_reads import PlainReader
from supervisor.store.ring.key_ring import KeyRing
from supervisor.store.schema import bundle_pieces, bundles, metadata, space_values, versions

BATCH_BYTES = 1 << 20  # of rows in one frame, about
BATCH_ROWS = 256


@dataclass(frozen=True)
class BackedUp:
    """What is in a backup.  ``missing`` are bundles that versions name and the store does not have."""

    header: Header
    file_bytes: int
    missing: int


def back_up(
    url: str, target: Path, keys: Callable[[], KeyRing | None], passphrase: str | None, progress: Progress
) -> BackedUp:
    """Write the store to a new file; the keys go into it, under ``passphrase``, if that is given.

    ``keys()`` gives the ring of the moment.  ConfigurationError when the store cannot be read or the file
    cannot be written.
    """
    _look_at_revision(url)
    store = database.connect(url)
    try:
        with _new_file(target) as file, store.snapshot() as connection:
            return _write(connection, file, keys, passphrase, progress)
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        reason = getattr(error, "orig", None) or error
        raise ConfigurationError(f"cannot back up: the store cannot be read: {reason}") from error
    finally:
        store.close()


def _look_at_revision(url: str) -> None:
    reader = PlainReader(driver_of(url))
    try:
        revision = reader.revision()
    finally:
        reader.close()
    if revision != HEAD:
        raise ConfigurationError(
            f"cannot back up: the store has schema {revision or 'none'} and this version knows {HEAD}; use "
            "the version that serves it, or start this version's server once"
        )


@contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name at the end; a killed run leaves TARGET.part, which the next takes."""
    if os.path.lexists(target):
        raise ConfigurationError(f"cannot back up to {target}: it exists; choose another name, or remove it")
    part = target.with_name(f"{target.name}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"cannot back up to {target}: another backup writes it; wait for that one"
                ) from None
            try:
                file.truncate()
                yield file
                file.flush()
                os.fsync(file.fileno())
                part.rename(target)
                _sync(target.parent)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigurationError(f"cannot write the backup {target}: {error.strerror}") from None


def _write(
    connection: sa.Connection,
    file: IO[bytes],
    keys: Callable[[], KeyRing | None],
    passphrase: str | None,
    progress: Progress,
) -> BackedUp:
    ring = _ring_of(connection, keys)
    if passphrase is not None and ring is None:
        raise ConfigurationError(
            "cannot back up: sealing.key does not open what is in the store, or was replaced just now; try "
            "again"
        )
    wanted = {table.name: _wanted(table) for table in metadata.sorted_tables}
    rows = {name: _count(connection, query) for name, query in wanted.items()}
    header = Header(
        schema=HEAD,
        server=__version__,
        made_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        key=None if ring is None else ",".join(ring.ids),
        rows=rows,
    )
    writer = FrameWriter(file)
    writer.frame(backup_file.HEADER, header.encoded())
    if ring is not None and passphrase is not None:
        writer.frame(backup_file.KEY, sealed_key.seal_key(ring, passphrase, header.encoded()))
    size = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(bundles.c.size), 0))).scalar_one()
    for table in metadata.sorted_tables:
        _write_table(connection, table, wanted[table.name], writer)
        progress(min(writer.bytes_written, int(size)), int(size))
    writer.end()
    named = connection.execute(sa.select(sa.func.count(versions.c.digest.distinct()))).scalar_one()
    return BackedUp(header, writer.bytes_written, named - rows[bundles.name])


def _ring_of(connection: sa.Connection, keys: Callable[[], KeyRing | None]) -> KeyRing | None:
    """The keys that open what this snapshot has; None if they are not at hand.

    A rotation may go on: the ring is read before the snapshot is taken, which the first question does, and
    after it.
    """
    before = keys()
    used = set(connection.execute(sa.select(space_values.c.sealed_by).distinct()).scalars())
    after = keys()
    if before is None or after is None:
        return None
    if None in used:  # from before keys had names
        used = used - {None} | {before.ids[0]}
    for ring in (before, after):
        if used <= set(ring.ids):
            needed = used or {ring.ids[ring.sealing]}
            kept = [number for number, one in enumerate(ring.ids) if one in needed]
            seals = kept.index(ring.sealing) if ring.sealing in kept else len(kept) - 1
            return KeyRing(tuple(ring.keys[number] for number in kept), seals)
    return None


def _wanted(table: sa.Table) -> sa.Select[Any]:
    """The rows of a table that belong into a backup, in the order of their keys."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    named = bundles.c.digest.in_(sa.select(versions.c.digest))
    if table is bundles:
        return query.where(named)
    if table is bundle_pieces:
        return query.where(bundle_pieces.c.upload.in_(sa.select(bundles.c.upload).where(named)))
    return query


def _count(connection: sa.Connection, query: sa.Select[Any]) -> int:
    counted = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
    return int(connection.execute(counted).scalar_one())


def _write_table(
    connection: sa.Connection, table: sa.Table, query: sa.Select[Any], writer: FrameWriter
) -> None:
    columns = [column.name for column in table.columns]
    # A piece has a mebibyte: of those one at a time is in memory.
    at_once = 1 if table is bundle_pieces else BATCH_ROWS
    batch: list[list[Any]] = []
    size = 0
    for row in connection.execution_options(yield_per=at_once).execute(query):
        plain = [_plain(value) for value in row]
        batch.append(plain)
        size += sum(len(value) for value in plain if isinstance(value, str | bytes))
        if size >= BATCH_BYTES or len(batch) >= BATCH_ROWS:
            writer.rows(table.name, columns, batch)
            batch, size = [], 0
    if batch:
        writer.rows(table.name, columns, batch)


def _plain(value: Any) -> Any:
    """A value as every database gives it back: times and JSON as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value)
    return bytes(value) if isinstance(value, memoryview) else value


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
