"""The database's own driver: all differences between SQLite and PostgreSQL that its users see.

SQLAlchemy is not imported, because that takes longer than the rest of a start; ``lookups`` says who waits.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from supervisor.errors import ConfigurationError
from supervisor.store import deadline_retries

DATABASE_NAME = "cellblock.db"  # of the embedded store, in the fronts' folder


class DriverConnection(Protocol):
    """A connection of either driver; each statement is a transaction of its own."""

    def execute(self, statement: str, parameters: tuple[str | int, ...] = ..., /) -> Any:
        """A cursor with the rows."""

    def close(self) -> None:
        """Close it."""


class Driver(Protocol):
    """One of the two databases."""

    errors: tuple[type[Exception], ...]
    is_shared: bool  # other servers may write to it
    begin: str  # begins a transaction that writes

    def make_file(self) -> None:
        """Make a private file for a new store, if the database is a file; ConfigurationError."""

    def connect(self) -> DriverConnection:
        """A new read-only connection; one of ``errors``."""

    def connect_to_write(self) -> DriverConnection:
        """A new connection that may write, for transactions that the caller begins; one of ``errors``."""

    def is_alive(self, connection: DriverConnection) -> bool:
        """Whether an idle connection can still be used."""

    def statement(self, text: str) -> str:
        """A statement with ``?`` for its parameters, in this driver's form."""

    def json(self, value: Any) -> Any:
        """The value of a column of JSON."""

    def moment(self, value: Any) -> datetime:
        """The value of a column of times."""

    def has_schema(self, connection: DriverConnection) -> bool:
        """Whether a migration has made the tables and left the database in its mode."""


class Sqlite:
    """A file in WAL mode: readers wait for no writer."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    is_shared = False
    begin = "BEGIN IMMEDIATE"

    def __init__(self, path: Path) -> None:
        self.path = path

    def make_file(self) -> None:
        """See ``Driver``."""
        try:
            # SQLite gives the -wal and -shm files the mode of the database.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ConfigurationError(f"cannot open the store {self.path}: {error.strerror}") from None

    def connect(self) -> DriverConnection:
        """See ``Driver``.  Threads may use it one after the other."""
        return self._open("ro")

    def connect_to_write(self) -> DriverConnection:
        """See ``Driver``."""
        connection = self._open("rw")
        connection.execute("PRAGMA synchronous=FULL")  # as in ``database``
        return connection

    def _open(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=deadline_retries.SQLITE_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )

    def is_alive(self, connection: DriverConnection) -> bool:
        """See ``Driver``."""
        return True

    def statement(self, text: str) -> str:
        """See ``Driver``."""
        return text

    def json(self, value: Any) -> Any:
        """See ``Driver``."""
        return json.loads(value)

    def moment(self, value: Any) -> datetime:
        """See ``Driver``."""
        return datetime.fromisoformat(value)

    def has_schema(self, connection: DriverConnection) -> bool:
        """See ``Driver``."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        try:
            # A restored copy may be in another mode until a migration opens it to write.
            is_wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            return is_wal and connection.execute(query).fetchone() is not None
        except sqlite3.OperationalError as error:
            # A crash before WAL mode was on left a journal, which only a writer can roll back.
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
                return False
            raise


class Postgres:
    """A PostgreSQL server, by the URI that psycopg reads."""

    is_shared = True

    def __init__(self, uri: str) -> None:
        """ConfigurationError when psycopg is not installed, or cannot read ``uri``."""
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"cannot open the store: {error.name} is not installed; install cellblock[postgres]"
            ) from None
        try:
            conninfo_to_dict(uri)
        except psycopg.ProgrammingError:  # its text may hold the password
            raise unreadable() from None
        self.uri = uri
        self.errors: tuple[type[Exception], ...] = (psycopg.Error,)
        self.begin = "BEGIN"
        self._connect = psycopg.connect

    def make_file(self) -> None:
        """See ``Driver``: the operator has made the database."""

    def connect(self) -> DriverConnection:
        """See ``Driver``."""
        return self._open("-c default_transaction_read_only=on")

    def connect_to_write(self) -> DriverConnection:
        """See ``Driver``."""
        return self._open("")

    def _open(self, more: str) -> DriverConnection:
        return self._connect(
            self.uri,
            autocommit=True,
            connect_timeout=deadline_retries.CONNECT_S,
            options=f"{deadline_retries.limits_of_postgres()} {more}",
        )

    def is_alive(self, connection: DriverConnection) -> bool:
        """See ``Driver``; so nobody gets an error after a restart of the database."""
        try:
            connection.execute("SELECT 1")
        except self.errors:
            return False
        return True

    def statement(self, text: str) -> str:
        """See ``Driver``."""
        return text.replace("?", "%s")

    def json(self, value: Any) -> Any:
        """See ``Driver``: psycopg has decoded it already."""
        return value

    def moment(self, value: Any) -> datetime:
        """See ``Driver``: so it has times."""
        found: datetime = value
        return found

    def has_schema(self, connection: DriverConnection) -> bool:
        """See ``Driver``."""
        found = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        return bool(found[0])


def driver_of(url: str) -> Sqlite | Postgres:
    """The database of ``sqlite:////file`` or ``postgresql://…``; opens nothing.

    ConfigurationError, without the password, for a URL that cannot be used.
    """
    scheme, is_url, rest = url.partition("://")
    if not is_url or not re.fullmatch(r"[\w+]+", scheme):
        raise unreadable()
    match scheme:
        case "sqlite" | "sqlite+pysqlite":
            path = rest.removeprefix("/")
            if path in ("", rest, ":memory:"):
                raise ConfigurationError("cannot use the store's URL: SQLite needs a file, sqlite:////path")
            return Sqlite(Path(path))
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return Postgres(f"postgresql://{rest}")
    raise ConfigurationError(f"cannot use the store's URL: {scheme!r} is neither sqlite nor postgresql")


def unreadable() -> ConfigurationError:
    """The error for a malformed URL."""
    return ConfigurationError(
        "cannot use the store's URL: write sqlite:////absolute/path or postgresql://user@host/database"
    )
