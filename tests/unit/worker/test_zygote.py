"""What a worker has imported before it has a function, on each runtime (``worker.zygote``)."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
from pathlib import Path

import pytest

from supervisor.bundles.imported_names import WITH_EVERY_WORKER
from supervisor.warden.launch.zygote_launch import WORKER_NAME, zygote_launch_of
from supervisor.warden.supply.preload import COMMON_IMPORTS
from tests.support.runtimes import DRIVER_SECONDS, ROOT, on_every_runtime, run_in, runtime_or_skip

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


@on_every_runtime
@pytest.mark.promise("S180")
def test_a_zygote_whose_warden_has_hung_up_ends_without_a_word(runtime_name: str, tmp_path: Path) -> None:
    """Its traceback reached the operator's terminal, in the form of a function's log entries (O14)."""
    runtime = runtime_or_skip(runtime_name)
    (tmp_path / WORKER_NAME).symlink_to(ROOT / "worker")
    (tmp_path / "function").symlink_to(ROOT / "function")
    ended = []
    for heard in (0, 1):  # before it is ready, and after
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        launch = zygote_launch_of(runtime, [], its.fileno(), tmp_path, False)
        zygote = subprocess.Popen(
            launch.argv, pass_fds=[its.fileno()], env=launch.env, stderr=subprocess.PIPE
        )
        its.close()
        if heard:
            assert ours.recv(4096)
        ours.close()
        ended.append((zygote.communicate(timeout=DRIVER_SECONDS)[1], zygote.returncode))
    assert ended == [(b"", 0)] * 2
