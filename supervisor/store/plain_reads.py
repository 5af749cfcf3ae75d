"""Reading without SQLAlchemy: a few connections, and statements that are each one consistent view.

Whoever asks blocks, for at most the deadline of ``attempts``; ask in a thread.  A Reader may be used by
many threads at once, and belongs to the process that opened it: open another one after a fork.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable
from typing import Any, TypeVar

from supervisor.store import deadline_retries
from supervisor.store.drivers import Connection, Driver

T = TypeVar("T")


class Reader:
    """At most POOL_SIZE connections, each opened when it is first needed."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        # The last that was given back is the next that is taken; None is one that is still to be opened.
        self._idle: queue.LifoQueue[Connection | None] = queue.LifoQueue()
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

    def rows(self, statement: str, *parameters: str) -> list[tuple[Any, ...]]:
        """The rows of one statement, with ``?`` for its parameters; PlatformError 503."""
        text = self.driver.statement(statement)
        return self._ask(lambda connection: connection.execute(text, parameters).fetchall())

    def revision(self) -> str | None:
        """The revision of the store's schema, None for one that is still to be set up; PlatformError 503."""
        if not self._ask(self.driver.has_schema):
            return None
        found = self.rows("SELECT version_num FROM alembic_version")
        return str(found[0][0]) if found else None

    def _ask(self, question: Callable[[Connection], T]) -> T:
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
                # One that failed may be half way through something: the next opens another.
                if connection is not None and not is_sound:
                    connection.close()

        return deadline_retries.until_done(once, (*self.driver.errors, TimeoutError))

    def _take(self) -> Connection | None:
        try:
            return self._idle.get(timeout=deadline_retries.POOL_WAIT_S)
        except queue.Empty:
            raise TimeoutError(
                f"no connection was free within {deadline_retries.POOL_WAIT_S:.0f} s"
            ) from None
