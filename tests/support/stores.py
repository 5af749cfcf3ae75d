"""What tests of the store share: contents, a look from outside, and everything at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from supervisor.errors import PlatformError
from supervisor.store import Content, database

KEY = b"k" * 32
FIRST = Content("a" * 64, "python3-http", "one", {"A": "1"}, {"timeout": 2.0})
SECOND = Content("b" * 64, "python3.11", "two", {}, {"public": True})
THIRD = SECOND._replace(digest="c" * 64)


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """What each gives or raises, all begun at the same moment."""
    start = threading.Barrier(len(work))
    results: list[Any] = [None] * len(work)

    def run(index: int) -> None:
        start.wait(20)
        try:
            results[index] = work[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


def refusal(work: Callable[[], Any]) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        work()
    return caught.value


def executed(url: str, statement: str) -> Any:
    """A statement as somebody with the database at hand would run it; the first value it gives."""
    db = database.connect(url)

    def run(connection: sa.Connection) -> Any:
        result = connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None

    try:
        return db.write(run)
    finally:
        db.close()
