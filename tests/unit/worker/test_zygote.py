"""What a worker has imported before it has a function, on each runtime (``worker.zygote``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from supervisor.bundles.imported_names import WITH_EVERY_WORKER
from supervisor.warden.supply.preload import COMMON_IMPORTS
from tests.support.runtimes import on_every_runtime, run_in, runtime_or_skip

DRIVER = Path(__file__).parent / "driver_lean.py"
# The first three run code in every child of a fork; the others are large.
NOT_FOR_EVERYBODY = {"threading", "logging", "random", "asyncio", "ssl", "werkzeug", "urllib.parse"}


@on_every_runtime
def test_a_lean_worker_has_what_its_function_is_taken_to_have_and_nothing_large(runtime_name: str) -> None:
    found = set(run_in(runtime_or_skip(runtime_name), DRIVER))
    assert found >= WITH_EVERY_WORKER
    assert not found & NOT_FOR_EVERYBODY


def test_the_workers_own_modules_that_a_zygote_imports_ahead_exist() -> None:
    """A zygote skips a name that it cannot import, so a renamed module would only make calls slower."""
    own = [name for name in COMMON_IMPORTS if name.startswith(".")]
    assert own and [name for name in own if importlib.util.find_spec(name, "worker") is None] == []
