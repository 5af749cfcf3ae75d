"""Connections and transactions by SQLAlchemy.

Only this module and ``drivers`` know which database it is.

Every transaction is serialisable: SQLite's by nature, PostgreSQL's by request.  A writer declares itself at
its start (``BEGIN IMMEDIATE`` in SQLite), so that two fronts queue instead of deadlocking.  A transaction
that lost against another one is run again (``deadline_retries``).  So the work of a transaction may run more
than once, and it only talks to its connection.

A Database belongs to the process that opened it; open another one after a fork.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from supervisor.store import deadline_retries
from supervisor.store.drivers import Postgres, Sqlite, driver_of, unreadable

_READ_ONLY = "cellblock_read_only"
_ALONE = 0x63656C6C  # any number; all servers that share a PostgreSQL use the same
_INCREMENTAL = 2  # of PRAGMA auto_vacuum
_STEP_PAGES = 256  # 1 MiB: as long as others wait for a step of give_back_space
_STEPS_MOST = 1 << 16  # 64 GiB; a bound, because others may free pages meanwhile
# A larger store is not rewritten when a space is deleted: a front has so much more memory meanwhile, and
# other writers wait for a second.
REWRITTEN_MOST_BYTES = 128 << 20
# An sqlite3.Error comes from _prepare_sqlite, where SQLAlchemy does not wrap it.
_FAILURES = (exc.DBAPIError, exc.TimeoutError, sqlite3.Error)

T = TypeVar("T")


class Database:
    """An engine, and the two ways to use it."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of ``work`` on one consistent view; PlatformError 503 when the store cannot be used."""
        return self._run(work, {_READ_ONLY: True})

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of ``work``, committed and on disk, all or nothing; PlatformError 503 likewise."""
        return self._run(work, {})

    def write_alone(self, work: Callable[[sa.Connection], T]) -> T:
        """Like ``write``, one server at a time: for changes of the schema."""
        if self.engine.dialect.name == "sqlite":  # it has one writer at a time anyway
            return self.write(work)

        def locked(connection: sa.Connection) -> T:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALONE)))
            return work(connection)

        # A serialisable transaction would see the tables as they were before it waited for the lock.
        return self._run(locked, {"isolation_level": "READ COMMITTED"})

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection that sees the store as it is at the first question, while others write."""
        options: dict[str, Any] = (
            {_READ_ONLY: True}
            if self.engine.dialect.name == "sqlite"
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        with self.engine.connect() as connection:
            connection.execution_options(**options)
            with connection.begin():
                yield connection

    def give_back_space(self) -> None:
        """Make an SQLite file smaller by what was deleted, step by step; PostgreSQL sees to that itself."""
        if self.engine.dialect.name != "sqlite":
            return

        def step() -> bool:
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                # It frees a page for each step of the statement, and only a script is stepped to its end.
                cursor.executescript(f"PRAGMA incremental_vacuum({_STEP_PAGES})")
                left: int = cursor.execute("PRAGMA freelist_count").fetchone()[0]
                cursor.close()
                return left > 0
            finally:
                connection.close()

        for _ in range(_STEPS_MOST):
            if not deadline_retries.until_done(step, _FAILURES):
                return

    def shred(self) -> bool:
        """Leave nothing of deleted rows in an SQLite file and its log; PostgreSQL sees to that itself.

        False when readers kept it from the log: try again.  Freed pages are zeros already (secure_delete),
        but rows that were moved leave copies between the others.  Only a file that is rewritten has none;
        one above REWRITTEN_MOST_BYTES is not.
        """
        if self.engine.dialect.name != "sqlite":
            return True

        def step() -> bool:
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                pages, page = (
                    cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
                )
                if pages * page <= REWRITTEN_MOST_BYTES:
                    # A front can write nowhere but below its folder, so it has no place for a temporary file.
                    cursor.execute("PRAGMA temp_store=MEMORY")
                    cursor.execute("VACUUM")
                is_busy: int = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                cursor.close()
                return not is_busy
            finally:
                connection.close()

        self.give_back_space()
        return deadline_retries.until_done(step, _FAILURES)

    def make_shrinkable(self) -> None:
        """Have ``give_back_space`` work, in an SQLite file that is new or was made by an older server.

        It rewrites the file, which then holds no bundles yet: some kilobytes.
        """
        if self.engine.dialect.name != "sqlite":
            return

        def rewrite() -> None:
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                if cursor.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
                    cursor.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
                    cursor.execute("VACUUM")
                cursor.close()
            finally:
                connection.close()

        deadline_retries.until_done(rewrite, _FAILURES)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _run(self, work: Callable[[sa.Connection], T], options: dict[str, Any]) -> T:
        def once() -> T:
            with self.engine.connect() as connection:
                connection.execution_options(**options)
                with connection.begin():
                    return work(connection)

        # An IntegrityError goes through: the caller knows which row it is about.
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
            "pool_pre_ping": True,  # nobody gets an error after a restart of the database
        }
    )
    engine = sa.create_engine(
        _url_of(driver),
        # The log shows the text of an error, and must not show a statement's parameters.
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
    # What is deleted is overwritten: secrets and code of others.
    connection.execute("PRAGMA secure_delete=ON")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # The mode is kept in the file: only the very first connection gets here.
        connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
