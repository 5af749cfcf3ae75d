"""A store on SQLite and, where its programs are installed, on PostgreSQL: the same promises on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from supervisor.store import Lookups, Sealer, deadline_retries, migrate, open_lookups
from supervisor.store.store import Store, open_store
from tests.support import postgres
from tests.support.stores import KEY


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Postgres]:
    folder = postgres.programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.running(folder) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cellblock.db"
    return request.getfixturevalue("server").fresh()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a store that has been set up."""
    migrate(f"sqlite:///{tmp_path}/cellblock.db")
    return tmp_path / "cellblock.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for, and one connection to wait for."""
    monkeypatch.setattr(deadline_retries, "POOL_SIZE", 1)
    monkeypatch.setattr(deadline_retries, "DEADLINE_S", 0.05)
    monkeypatch.setattr(deadline_retries, "SQLITE_BUSY_S", 0.01)


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], Store]]:
    """Opens the store once more, as another front would; it has the spaces default, demo and other."""
    migrate(url)
    with closing(open_store(url, Sealer(KEY))) as first:
        first.spaces.create("other", "")
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(open_store(url, Sealer(KEY)))
        return stores[-1]

    yield open_one
    for one in stores:
        one.close()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    return opened()


@pytest.fixture
def lookups(url: str) -> Iterator[Lookups]:
    """What a front asks on the path of a call."""
    migrate(url)
    one = open_lookups(url, Sealer(KEY))
    yield one
    one.close()
