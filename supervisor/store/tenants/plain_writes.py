"""Writing without SQLAlchemy: one transaction over a connection of its own.

For what a front writes now and then beside its calls.  It blocks, at most for the deadline of
``deadline_retries``; call it in a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from supervisor.store import deadline_retries
from supervisor.store.drivers import Driver, DriverConnection

T = TypeVar("T")


def written(driver: Driver, work: Callable[[DriverConnection], T]) -> T:
    """The result of ``work``, committed, all or nothing; PlatformError 503 or 507.

    A transaction that lost against another one is run again.
    """

    def once() -> T:
        with contextlib.closing(driver.connect_to_write()) as connection:
            connection.execute(driver.begin)
            try:
                answer = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(*driver.errors):  # the connection ends, and so does what it began
                    connection.execute("ROLLBACK")
                raise
            return answer

    return deadline_retries.until_done(once, driver.errors)
