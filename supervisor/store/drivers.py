"""The two databases by their own drivers, to read with: every difference between them that a reader sees.

Nothing here imports SQLAlchemy, which takes longer to import than the rest of a start
(``supervisor.store.lookups`` says for whom that matters).
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from supervisor.errors import ConfigurationError
from supervisor.store import deadline_retries


class Connection(Protocol):
    """What both drivers' connections can do; a statement is a transaction of its own."""

    def execute(self, statement: str, parameters: tuple[str, ...] = ..., /) -> Any:
        """A cursor with the rows."""

    def close(self) -> None:
        """The end of it."""


class Driver(Protocol):
    """One of the two."""

    errors: tuple[type[Exception], ...]

    def make_file(self) -> None:
        """Make room for a new store, private, where that is ours to do; ConfigurationError."""

    def connect(self) -> Connection:
        """A new connection, which cannot write; one of ``errors``."""

    def is_alive(self, connection: Connection) -> bool:
        """Whether one that was idle can still be used."""

    def statement(self, text: str) -> str:
        """A statement with ``?`` for its parameters, as this driver wants it."""

    def json(self, value: Any) -> Any:
        """What a column of JSON holds."""

    def has_schema(self, connection: Connection) -> bool:
        """Whether a migration has been here, and the database is set up as it leaves it."""


class Sqlite:
    """A file in WAL mode: who reads it waits for no writer."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        self.path = path

    def make_file(self) -> None:
        """See ``Driver``."""
        try:
            # SQLite gives the -wal and -shm files the mode of the database.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ConfigurationError(f"cannot open the store {self.path}: {error.strerror}") from None

    def connect(self) -> Connection:
        """See ``Driver``.  Threads may hand it on to each other."""
        return sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=ro",
            uri=True,
            timeout=deadline_retries.SQLITE_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )

    def is_alive(self, connection: Connection) -> bool:
        """See ``Driver``."""
        return True

    def statement(self, text: str) -> str:
        """See ``Driver``."""
        return text

    def json(self, value: Any) -> Any:
        """See ``Driver``."""
        return json.loads(value)

    def has_schema(self, connection: Connection) -> bool:
        """See ``Driver``."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        try:
            # A copy that somebody put back may be in another mode, until a migration opens it to write.
            is_wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            return is_wal and connection.execute(query).fetchone() is not None
        except sqlite3.OperationalError as error:
            # A crash before WAL mode was on left a journal, which only who may write can undo.
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
                return False
            raise


class Postgres:
    """A server, by the URI that its own library reads."""

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
        except psycopg.ProgrammingError:  # its text may have the password in it
            raise unreadable() from None
        self.uri = uri
        self.errors: tuple[type[Exception], ...] = (psycopg.Error,)
        self._connect = psycopg.connect

    def make_file(self) -> None:
        """See ``Driver``: who runs the server has made the database."""

    def connect(self) -> Connection:
        """See ``Driver``."""
        return self._connect(
            self.uri,
            autocommit=True,
            connect_timeout=deadline_retries.CONNECT_S,
            options=f"{deadline_retries.limits_of_postgres()} -c default_transaction_read_only=on",
        )

    def is_alive(self, connection: Connection) -> bool:
        """See ``Driver``; a database that was restarted costs nobody an error."""
        try:
            connection.execute("SELECT 1")
        except self.errors:
            return False
        return True

    def statement(self, text: str) -> str:
        """See ``Driver``."""
        return text.replace("?", "%s")

    def json(self, value: Any) -> Any:
        """See ``Driver``: psycopg has read it already."""
        return value

    def has_schema(self, connection: Connection) -> bool:
        """See ``Driver``."""
        found = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        return bool(found[0])


def driver_of(url: str) -> Sqlite | Postgres:
    """The database of ``sqlite:////file`` or ``postgresql://…``; nothing is opened.

    ConfigurationError, without the password, if it cannot be used.
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
    """What to say of a URL that nobody can read."""
    return ConfigurationError(
        "cannot use the store's URL: write sqlite:////absolute/path or postgresql://user@host/database"
    )
