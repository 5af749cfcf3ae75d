"""A writer that is closed, and a clock that moves when told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.logs import Writer
from tests.support.logrecords import Clock


@pytest.fixture
def make_writer(tmp_path: Path) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def make(**settings: int) -> Writer:
        made.append(Writer(tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def writer(make_writer: Callable[..., Writer]) -> Writer:
    return make_writer()


@pytest.fixture
def clock() -> Clock:
    return Clock()
