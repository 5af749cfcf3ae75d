"""A front of one's own, and one for requests that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Front, deploy, front


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Front]:
    with front(tmp_path, bundle_max_bytes=1 << 20, body_seconds=0.2) as one:
        yield one


@pytest.fixture
def hello(api: Front) -> dict[str, Any]:
    return deploy(api)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front with one function, shared by tests of requests that are refused."""
    with front(tmp_path_factory.mktemp("door"), bundle_max_bytes=1 << 20, body_seconds=0.2) as one:
        deploy(one)
        yield one
