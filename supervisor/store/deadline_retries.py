"""Retrying a transaction until a deadline, for SQLAlchemy and for the drivers alike.

A transaction that lost against another one is run again after a pause, so ``work`` may run more than once.
Any other error ends it at once.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from supervisor.errors import ConfigurationError, PlatformError

DEADLINE_S = 10.0  # the longest wait of a caller of the API; a commit takes milliseconds
SQLITE_BUSY_S = 1.0  # one wait inside SQLite; the deadline is checked between them
CONNECT_S = 5  # to a PostgreSQL, in whole seconds
POOL_SIZE = 8  # connections of one process
POOL_WAIT_S = 10.0  # for one of them
BACKOFF_FIRST_S = 0.005
BACKOFF_MAX_S = 0.25

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_SERIALISATION_FAILURE = frozenset({"40001", "40P01", "55P03"})
_DISK_FULL = "53100"
_SQLITE_LOST = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

T = TypeVar("T")
log = logging.getLogger(__name__)


class _Errors:
    """Questions of this process that failed, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.number = 0

    def count(self) -> None:
        with self._lock:
            self.number += 1


_errors = _Errors()


def errors_so_far() -> int:
    """How many questions of this process to its stores failed or took too long."""
    return _errors.number


def until_done(
    work: Callable[[], T], failures: tuple[type[Exception], ...], but: type[Exception] | tuple[()] = ()
) -> T:
    """The result of ``work``.

    PlatformError 503 when the database cannot be used, or is busy for DEADLINE_S; 507 when its disk is full.
    ``failures`` are the exceptions of the database.  ``but`` is one of them that goes through to the caller.
    """
    deadline = time.monotonic() + DEADLINE_S
    backoff_s = BACKOFF_FIRST_S
    while True:
        try:
            return work()
        except but:
            raise
        except failures as error:
            if not lost_to_another(error):
                _errors.count()
                log.error("cannot use the store: %s", _words_of(error))
                if _is_full(error):
                    raise PlatformError(
                        507, "The server's disk is full, so nothing can be stored; tell its operator"
                    ) from error
                raise _unavailable("cannot be used just now") from error
            if time.monotonic() + backoff_s > deadline:
                _errors.count()
                log.error("gave up on the store after %.0f s: %s", DEADLINE_S, _words_of(error))
                raise _unavailable("is busy") from error
        # Jitter: two fronts that collided once do not collide again in step.
        time.sleep(backoff_s * random.uniform(0.5, 1))  # noqa: S311 - nothing secret about it
        backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)


def _words_of(error: Exception) -> str:
    """What the database said, in one line: SQLAlchemy adds its statement, and an address on the web."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def lost_to_another(error: BaseException) -> bool:
    """Whether a transaction failed only because of another one, so that it can be run again."""
    original = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's exception
    if isinstance(original, sqlite3.OperationalError):
        # The low byte is the primary code; the other bytes tell BUSY_SNAPSHOT and the like apart.
        return getattr(original, "sqlite_errorcode", 0) & 0xFF in _SQLITE_LOST
    return getattr(original, "sqlstate", None) in _SERIALISATION_FAILURE


def _is_full(error: BaseException) -> bool:
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.OperationalError):
        return getattr(original, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return getattr(original, "sqlstate", None) == _DISK_FULL


def cannot_open(error: PlatformError) -> ConfigurationError:
    """The error at a start, for the operator: with what the database itself said."""
    return ConfigurationError(f"cannot open the store: {error.__cause__ or error}")


def limits_of_postgres() -> str:
    """Time limits that PostgreSQL itself holds for each of our statements, as a connection's option."""
    return f"-c statement_timeout={int(DEADLINE_S * 1000)} -c lock_timeout=5000"


def _unavailable(why: str) -> PlatformError:
    return PlatformError(
        503, f"The server's store {why}; try again in a moment", headers={"Retry-After": "1"}
    )
