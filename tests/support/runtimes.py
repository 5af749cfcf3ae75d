"""The runtimes a test can use: every supported interpreter by name, skipped by name where it is absent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from supervisor.runtimes import RUNTIME_NAMES, Runtime
from supervisor.runtimes.interpreters import own_runtime_name
from supervisor.runtimes.runtime_record import read_record, runtime_of
from supervisor.settings import plain_sources

ROOT = Path(__file__).resolve().parents[2]
DRIVER_SECONDS = 60.0

on_every_runtime = pytest.mark.parametrize("runtime_name", RUNTIME_NAMES)


def runtime_or_skip(name: str) -> Runtime:
    """The installed runtime of that name; without it the test is skipped."""
    runtimes_dir = plain_sources.load().runtimes_dir
    record = read_record(runtimes_dir, name)
    runtime = runtime_of(runtimes_dir, record) if record else None
    if runtime is None:
        pytest.skip(f"runtime {name} is not installed")
    return runtime


def only_default_runtime(folder: Path) -> Path:
    """A runtimes folder below ``folder`` with the default one only: a server starts fewer zygotes."""
    source = plain_sources.load().runtimes_dir
    made = folder / "only"
    made.mkdir()
    name = own_runtime_name()
    (made / name).symlink_to(source / name)
    return made


def run_in(runtime: Runtime, driver: Path, *arguments: str) -> Any:
    """What ``driver`` prints, as JSON, when this interpreter runs it as a cell would: ``-I -S``.

    Its first two arguments are the folder of our packages and that of the runtime's libraries.
    """
    done = subprocess.run(
        [str(runtime.python), "-I", "-S", "-B", "-X", "utf8", str(driver), str(ROOT),
         str(runtime.libraries), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DRIVER_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)
