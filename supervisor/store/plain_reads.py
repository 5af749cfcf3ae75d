"""Reading without SQLAlchemy: a few connections, and each statement sees one consistent view.

A question blocks, at most for the deadline of ``deadline_retries``; ask in a thread.  Many threads may use a
PlainReader at once.  It belongs to the process that opened it: open another one after a fork.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable
from typing import Any, TypeVar

from supervisor.store import deadline_retries
from supervisor.store.drivers import Driver, DriverConnection

T = TypeVar("T")


class PlainReader:
    """At most POOL_SIZE connections, each opened when it is first needed."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        # The last connection given back is taken next; None stands for one that is still to be opened.
        self._idle: queue.LifoQueue[DriverConnection | None] = queue.LifoQueue()
        for _ in range(deadline_retries.POOL_SIZE):
            self._idle.put(None)

    def close(self) -> None:
        """Close the connections that nobody is using."""
        taken = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._idle.get_nowait())
        for connection in taken:
            if connection is not None:
                connection.close()
            self._idle.put(None)

    def rows(self, statement: str, *parameters: str | int) -> list[tuple[Any, ...]]:
        """The rows of one statement, which has ``?`` for its parameters; PlatformError 503."""
        text = self.driver.statement(statement)
        return self._ask(lambda connection: connection.execute(text, parameters).fetchall())

    def look(self, statement: str) -> None:
        """Ask over a new connection: an old one may answer from memory what is gone; PlatformError 503."""
        text = self.driver.statement(statement)

        def once() -> None:
            with contextlib.closing(self.driver.connect()) as connection:
                connection.execute(text, ()).fetchall()

        deadline_retries.until_done(once, self.driver.errors)

    def revision(self) -> str | None:
        """The revision of the store's schema, None for a store without tables; PlatformError 503."""
        if not self._ask(self.driver.has_schema):
            return None
        found = self.rows("SELECT version_num FROM alembic_version")
        return str(found[0][0]) if found else None

    def _ask(self, question: Callable[[DriverConnection], T]) -> T:
        def once() -> T:
            connection = self._take()
            is_sound = False
            try:
                if connection is not None and not self.driver.is_alive(connection):
                    connection.close()
                    connection = None
                if connection is None:
                    connection = self.driver.connect()
                answer = question(connection)
                is_sound = True
                return answer
            finally:
                self._idle.put(connection if is_sound else None)
                # A connection that failed may be half way through something: the next question opens another.
                if connection is not None and not is_sound:
                    connection.close()

        return deadline_retries.until_done(once, (*self.driver.errors, TimeoutError))

    def _take(self) -> DriverConnection | None:
        try:
            return self._idle.get(timeout=deadline_retries.POOL_WAIT_S)
        except queue.Empty:
            raise TimeoutError(
                f"no connection was free within {deadline_retries.POOL_WAIT_S:.0f} s"
            ) from None
