"""An empty bundle store."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.bundles.bundle_store import BundleStore
from tests.support.unpacking import MAX_BYTES, MAX_ENTRIES


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles", MAX_BYTES, MAX_ENTRIES)
