"""A store of a folder with its key file, as a front has both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.store import Sealer, migrate
from supervisor.store.ring.key_file import KEY_NAME, KeyFile
from supervisor.store.store import Store, open_store

VALUES = {f"S{number}": f"secret {number}" for number in range(7)}


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / KEY_NAME


@pytest.fixture
def front(url: str, key_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the store with the ring that is on disk, as another front would."""
    migrate(url)
    made: list[Store] = []

    def open_one() -> Store:
        file = KeyFile(key_path)
        made.append(open_store(url, Sealer(file.load_or_create(), file.newer)))
        return made[-1]

    yield open_one
    for store in made:
        store.close()


@pytest.fixture
def filled(front: Callable[[], Store]) -> Store:
    store = front()
    for name, value in VALUES.items():
        store.put_value("demo", "secret", name, value)
    store.spaces.create("other", "")
    store.put_value("other", "variable", "V", {"a": 1})
    return store
