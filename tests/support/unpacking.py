"""What tests of bundles share: their limits, and looks at what is on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import PlatformError
from tests.support.packing import CODE

MAX_BYTES = 1 << 20
MAX_ENTRIES = 50
HANDLER = ("handler.py", CODE)


def refusal(store: BundleStore, source: bytes) -> PlatformError:
    """How the upload is refused; and that nothing of it is left anywhere."""
    before = tree(store.root.parent)
    with pytest.raises(PlatformError) as caught:
        store.add(source)
    assert tree(store.root.parent) == before
    return caught.value


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


def content(store: BundleStore, digest: str) -> dict[str, bytes]:
    root = store.path(digest)
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }
