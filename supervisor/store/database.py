"""Connections and transactions by SQLAlchemy: here and in ``drivers`` it is known which database it is.

Every transaction is serialisable: SQLite's are by nature, PostgreSQL's by request.  A writer says
so at its start (``BEGIN IMMEDIATE`` in SQLite), so that two fronts queue instead of deadlocking,
and a transaction that lost against another is run again (``attempts``).  The work of a
transaction may therefore run more than once: it only talks to the connection it is given.

A Database belongs to the process that opened it; open another one after a fork.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from supervisor.store import deadline_retries
from supervisor.store.drivers import Postgres, Sqlite, driver_of, unreadable

_READ_ONLY = "cellblock_read_only"
_ALONE = 0x63656C6C  # any number, the same in every server that shares a PostgreSQL
# sqlite3's own come from _prepare_sqlite, before SQLAlchemy could wrap them.
_FAILURES = (exc.DBAPIError, exc.TimeoutError, sqlite3.Error)

T = TypeVar("T")


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
        def once() -> T:
            with self.engine.connect() as connection:
                connection.execution_options(**options)
                with connection.begin():
                    return work(connection)

        # The caller knows which row an IntegrityError means.
        return deadline_retries.until_done(once, _FAILURES, but=exc.IntegrityError)


def connect(url: str) -> Database:
    """A Database for a URL of SQLite (a file) or PostgreSQL; ConfigurationError otherwise."""
    driver = driver_of(url)
    sqlite = isinstance(driver, Sqlite)
    limits: dict[str, Any] = (
        {"connect_args": {"timeout": deadline_retries.SQLITE_BUSY_S}}
        if sqlite
        else {
            "connect_args": {
                "connect_timeout": deadline_retries.CONNECT_S,
                "options": deadline_retries.limits_of_postgres(),
            },
            "isolation_level": "SERIALIZABLE",
            "pool_pre_ping": True,  # a database that was restarted costs nobody an error
        }
    )
    engine = sa.create_engine(
        _url_of(driver),
        # An error's text reaches the log; a statement's parameters never do.
        hide_parameters=True,
        pool_size=deadline_retries.POOL_SIZE,
        max_overflow=0,
        pool_timeout=deadline_retries.POOL_WAIT_S,
        **limits,
    )
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def _url_of(driver: Sqlite | Postgres) -> sa.URL:
    if isinstance(driver, Sqlite):
        return sa.URL.create("sqlite", database=str(driver.path))
    try:
        return sa.make_url(driver.uri).set(drivername="postgresql+psycopg")
    except exc.ArgumentError:  # psycopg reads more than SQLAlchemy does
        raise unreadable() from None


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
