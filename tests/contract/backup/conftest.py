"""A PostgreSQL for backups of one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import postgres


@pytest.fixture
def postgresql() -> Iterator[str]:
    folder = postgres.programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.running(folder) as server:
        yield server.fresh()
