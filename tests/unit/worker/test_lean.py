"""What a worker has imported before it has a function, on each runtime."""

from __future__ import annotations

from pathlib import Path

from supervisor.bundles.imported_names import WITH_EVERY_WORKER
from tests.support.runtimes import on_every_runtime, run_in, runtime_or_skip

DRIVER = Path(__file__).parent / "driver_lean.py"
# The first three have Python run in every child of a fork, the others are large.
NOT_FOR_EVERYBODY = {"threading", "logging", "random", "asyncio", "ssl", "werkzeug", "urllib.parse"}


@on_every_runtime
def test_a_lean_worker_has_what_its_function_is_taken_to_have_and_nothing_large(runtime_name: str) -> None:
    found = set(run_in(runtime_or_skip(runtime_name), DRIVER))
    assert found >= WITH_EVERY_WORKER
    assert not found & NOT_FOR_EVERYBODY
