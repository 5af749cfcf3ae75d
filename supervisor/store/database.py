"""Connections and transactions: the only place that knows which database is behind the URL.

Every transaction is serialisable: SQLite's are by nature, PostgreSQL's by request.  A writer says
so at its start (``BEGIN IMMEDIATE`` in SQLite), so that two fronts queue instead of deadlocking,
and a transaction that lost against another is run again until DEADLINE_S.  The work of a
transaction may therefore run more than once: it only talks to the connection it is given.

A Database belongs to the process that opened it; open another one after a fork.
"""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from supervisor.errors import ConfigurationError, PlatformError

DEADLINE_S = 10.0  # a caller of the API waits for it; a commit takes milliseconds
SQLITE_BUSY_S = 1.0  # one wait inside SQLite; the deadline is checked between them
POOL_SIZE = 8
POOL_WAIT_S = 10.0
BACKOFF_FIRST_S = 0.005
BACKOFF_MAX_S = 0.25
_READ_ONLY = "cellblock_read_only"
_ALONE = 0x63656C6C  # any number, the same in every server that shares a PostgreSQL

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_SERIALISATION_FAILURE = frozenset({"40001", "40P01", "55P03"})
_SQLITE_LOST = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

T = TypeVar("T")
log = logging.getLogger(__name__)


class Database:
    """An engine, and the two ways to use it."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of ``work`` on one consistent view; PlatformError 503 when there is no store."""
        return self._run(work, {_READ_ONLY: True})

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of ``work``, committed and on disk; all or nothing; PlatformError 503 as above."""
        return self._run(work, {})

    def write_alone(self, work: Callable[[sa.Connection], T]) -> T:
        """As ``write``, while no other server is in a ``write_alone``: for changes of the schema."""
        if self.engine.dialect.name == "sqlite":  # where every writer is alone
            return self.write(work)

        def locked(connection: sa.Connection) -> T:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALONE)))
            return work(connection)

        # A serialisable transaction would go on seeing the tables as they were before it waited.
        return self._run(locked, {"isolation_level": "READ COMMITTED"})

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _run(self, work: Callable[[sa.Connection], T], options: dict[str, Any]) -> T:
        deadline = time.monotonic() + DEADLINE_S
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                with self.engine.connect() as connection:
                    connection.execution_options(**options)
                    with connection.begin():
                        return work(connection)
            except exc.IntegrityError:
                raise  # the caller knows which row it means
            except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error) as error:
                # sqlite3's own come from _prepare_sqlite, before SQLAlchemy could wrap them.
                if not lost_to_another(error):
                    log.error("cannot use the store: %s", error)
                    raise _unavailable("cannot be used just now") from error
                if time.monotonic() + backoff_s > deadline:
                    log.error("gave up on the store after %.0f s: %s", DEADLINE_S, error)
                    raise _unavailable("is busy") from error
            # Jitter: two fronts that collided once do not collide again in step.
            time.sleep(backoff_s * random.uniform(0.5, 1))  # noqa: S311 - nothing secret about it
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)


def connect(url: str) -> Database:
    """A Database for a SQLAlchemy URL of SQLite (a file) or PostgreSQL; ConfigurationError otherwise."""
    parsed = parse(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    limits: dict[str, Any] = (
        {"connect_args": {"timeout": SQLITE_BUSY_S}}
        if sqlite
        else {
            "connect_args": {
                "connect_timeout": 5,
                "options": f"-c statement_timeout={int(DEADLINE_S * 1000)} -c lock_timeout=5000",
            },
            "isolation_level": "SERIALIZABLE",
            "pool_pre_ping": True,  # a database that was restarted costs nobody an error
        }
    )
    try:
        engine = sa.create_engine(
            parsed,
            # An error's text reaches the log; a statement's parameters never do.
            hide_parameters=True,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            **limits,
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"cannot open the store: {error.name} is not installed; install cellblock[postgres]"
        ) from None
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def parse(url: str) -> sa.URL:
    """The URL taken apart, its driver chosen; ConfigurationError, without the password, if unusable."""
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise ConfigurationError(
            "cannot use the store's URL: write sqlite:////absolute/path or postgresql://user@host/database"
        ) from None
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigurationError("cannot use the store's URL: SQLite needs a file, sqlite:////path")
            return parsed
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        f"cannot use the store's URL: {parsed.drivername!r} is neither sqlite nor postgresql"
    )


def lost_to_another(error: BaseException) -> bool:
    """Whether a transaction failed only because of another one, so that it can be run again."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.OperationalError):
        # The low byte is the primary code; BUSY_SNAPSHOT and its like are in the others.
        return getattr(original, "sqlite_errorcode", 0) & 0xFF in _SQLITE_LOST
    return getattr(original, "sqlstate", None) in _SERIALISATION_FAILURE


def make_sqlite_file(url: sa.URL) -> None:
    """Create the database file, private and in WAL mode, where it is SQLite's; ConfigurationError if not."""
    if url.get_backend_name() != "sqlite":
        return
    path = Path(url.database or "")
    try:
        # SQLite gives the -wal and -shm files the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigurationError(f"cannot open the store {path}: {error.strerror}") from None


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The sqlite3 module must not begin transactions of its own: _begin_sqlite does.
    connection.isolation_level = None
    # FULL: a commit survives a power cut, not only a crash of ours (WAL's usual NORMAL does not).
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # Kept in the file; only the very first connection gets here.
        connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _unavailable(why: str) -> PlatformError:
    return PlatformError(
        503, f"The server's store {why}; try again in a moment", headers={"Retry-After": "1"}
    )
