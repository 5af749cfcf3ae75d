"""A file becomes a data directory: ``front/`` gets its name when all that is in it is whole and on disk.

A run that was killed leaves ``.restoring/`` in the data directory, which the next one removes.  A PostgreSQL
database gets all rows in one transaction, just before that.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy import exc

from supervisor.errors import ConfigurationError, PlatformError, shown
from supervisor.store import database, deadline_retries
from supervisor.store.backup import backup_file
from supervisor.store.backup.backup_file import Header, Progress
from supervisor.store.drivers import DATABASE_NAME, driver_of
from supervisor.store.lookups import open_lookups
from supervisor.store.migrate import knows, make_tables, migrate
from supervisor.store.plain_reads import PlainReader
from supervisor.store.ring.key_file import KEY_NAME
from supervisor.store.ring.key_ring import KeyRing
from supervisor.store.sealing import Sealer

UNFINISHED = ".restoring"
# What a file system of its own brings along.
NOTHING = frozenset({UNFINISHED, "lost+found"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Restored:
    """What was restored.  ``needs_key``: the data directory lacks the key of its secrets and variables."""

    header: Header
    needs_key: bool


# The sealing keys for a backup that has them under a passphrase, or None (bytes: as it is in the file).
KeySource = Callable[[Header, bytes | None], KeyRing | None]


def restore(
    source: Path, front_dir: Path, key_source: KeySource, progress: Progress, store_url: str | None = None
) -> Restored:
    """Make ``front_dir``, in an empty data directory, of a backup.

    The rows go to the database of ``store_url``, if that is given.  ConfigurationError for what cannot be
    used; nothing is made then.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise ConfigurationError(f"cannot read the backup {source}: {error.strerror}") from None
    with file:
        header = _readable(file, source, progress)
        ring = key_source(header, _key_frame(file, source))
        with _empty(front_dir.parent) as unfinished:
            try:
                return _restore(file, source, unfinished, front_dir, header, ring, progress, store_url)
            except OSError as error:
                raise ConfigurationError(f"cannot restore into {front_dir}: {error.strerror}") from None


def _readable(file: IO[bytes], source: Path, progress: Progress) -> Header:
    header = backup_file.verified(file, source, progress)
    if not knows(header.schema):
        raise ConfigurationError(
            f"cannot restore {source}: cellblock {shown(header.server)} made it, with schema "
            f"{shown(header.schema)}, which this version does not know; restore it with that version"
        )
    return header


def _key_frame(file: IO[bytes], source: Path) -> bytes | None:
    for frame in backup_file.frames(file, source, lambda done, of: None):
        if frame.kind == backup_file.KEY:
            return frame.payload
        if frame.kind == backup_file.ROWS:
            break  # the key comes before them
    return None


@contextmanager
def _empty(data_dir: Path) -> Iterator[Path]:
    """A place in the data directory, which is made if missing, is ours alone meanwhile, and is empty."""
    try:
        data_dir.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(data_dir, _FOLDER)
    except OSError as error:
        raise ConfigurationError(f"cannot restore into {data_dir}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a server holds it, too
        except BlockingIOError:
            raise ConfigurationError(
                f"cannot restore into {data_dir}: a server or another restore uses it; choose another "
                "--data-dir"
            ) from None
        others = sorted({path.name for path in data_dir.iterdir()} - NOTHING)
        if others:
            raise ConfigurationError(
                f"cannot restore into {data_dir}: it is not empty ({shown(others[0])} is in it); choose an "
                "empty --data-dir"
            )
        unfinished = data_dir / UNFINISHED
        if unfinished.exists():
            shutil.rmtree(unfinished)
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # it is gone when it was renamed
    finally:
        os.close(descriptor)


def _restore(
    file: IO[bytes],
    source: Path,
    unfinished: Path,
    front_dir: Path,
    header: Header,
    ring: KeyRing | None,
    progress: Progress,
    store_url: str | None,
) -> Restored:
    unfinished.mkdir(mode=0o700)
    if store_url is None:
        store = unfinished / DATABASE_NAME
        os.close(os.open(store, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        url = f"sqlite:///{store}"
    else:
        url = store_url
        _refuse_used(url, header)
    make_tables(url, header.schema)
    _fill(url, file, source, header, progress)
    migrate(url)
    if ring is not None:
        (unfinished / KEY_NAME).touch(0o600)
        (unfinished / KEY_NAME).write_bytes(ring.encoded())
        open_lookups(url, Sealer(ring)).close()  # whether it opens what was sealed
    (unfinished / "bundles").mkdir(mode=0o755)
    for path in (*sorted(unfinished.iterdir()), unfinished):
        _sync(path)
    unfinished.rename(front_dir)
    _sync(front_dir.parent)
    return Restored(header, ring is None and bool(header.rows.get("space_values")))


def _refuse_used(url: str, header: Header) -> None:
    """ConfigurationError for a database that has rows, or tables that a killed restore did not leave."""
    reader = PlainReader(driver_of(url))
    try:
        revision = reader.revision()
        is_new = revision is None or (
            revision == header.schema and not reader.rows("SELECT 1 FROM functions")
        )
        if not is_new or (revision is not None and reader.rows("SELECT 1 FROM space_values")):
            raise ConfigurationError(
                "cannot restore into the database of store_url: it is not empty; make a new one and name that"
            )
    except PlatformError as error:
        raise deadline_retries.cannot_open(error) from error
    finally:
        reader.close()


def _fill(url: str, file: IO[bytes], source: Path, header: Header, progress: Progress) -> None:
    store = database.connect(url)
    tables = sa.MetaData()

    def insert_all(connection: sa.Connection) -> None:
        # What migrations put into a new store goes: the backup has its own.
        for table in reversed(tables.sorted_tables):
            if table.name != "alembic_version":
                connection.execute(table.delete())
        counted = dict.fromkeys(header.rows, 0)
        for frame in backup_file.frames(file, source, progress):
            if frame.kind == backup_file.ROWS:
                name, columns, rows = backup_file.read_rows(frame)
                table = tables.tables[name]
                connection.execute(table.insert(), [_typed(table, columns, row) for row in rows])
                counted[name] += len(rows)
        if counted != header.rows:
            raise backup_file.damaged(source, "rows are missing")

    try:
        tables.reflect(store.engine)
        store.write(insert_all)
    except PlatformError as error:
        raise ConfigurationError(f"cannot restore {source}: {error.message}") from error
    except (exc.SQLAlchemyError, KeyError, ValueError, TypeError) as error:
        raise backup_file.damaged(source, f"its rows do not fit ({type(error).__name__})") from error
    finally:
        store.close()


def _typed(table: sa.Table, columns: list[str], row: list[Any]) -> dict[str, Any]:
    """A row with the values that this database wants."""
    typed = dict(zip(columns, row, strict=True))
    for column in table.columns:
        value = typed[column.name]
        if isinstance(column.type, sa.DateTime) and value is not None:
            typed[column.name] = datetime.fromisoformat(value)
        elif isinstance(column.type, sa.JSON) and value is not None:
            typed[column.name] = json.loads(value)
    return typed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
