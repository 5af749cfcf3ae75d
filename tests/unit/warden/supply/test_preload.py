"""What the zygotes import: a name that does not exist would be imported in every cell instead, in silence."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from supervisor.warden.supply.preload import COMMON_IMPORTS


@pytest.mark.parametrize("name", [name for name in COMMON_IMPORTS if name.startswith(".")])
def test_each_module_of_the_worker_that_is_imported_ahead_exists(name: str) -> None:
    assert find_spec(f"worker{name}") is not None
