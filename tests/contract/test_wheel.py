"""The package that is installed without a checkout: all of it is in the wheel, and it runs from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from supervisor import __version__
from tests.support.wheel import ROOT, build_wheel, environment_beside_ours

PACKAGES = ("supervisor", "worker", "function", "seccomp")
SECONDS = 60.0
# Imports every module of the four packages, and reads what is not code.
IMPORT_ALL = """
import importlib, pkgutil, sys
from pathlib import Path
import supervisor, worker, function, seccomp
from seccomp.profile import load
for package in (supervisor, worker, function, seccomp):
    assert Path(package.__file__).is_relative_to(sys.prefix), package.__file__
for found in pkgutil.walk_packages(supervisor.__path__, "supervisor."):
    if "migrations.versions" not in found.name and not found.name.endswith("migrations.env"):
        importlib.import_module(found.name)
for name in ("cell", "cell-network", "cell-bare", "front", "container"):
    load(name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path) -> Path:
    return environment_beside_ours(wheel.parents[1] / "environment", wheel)


def run(programs: Path, *command: str) -> subprocess.CompletedProcess[str]:
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("CELLBLOCK_", "PYTHON"))
    }
    return subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd="/",
        env=known,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@pytest.mark.promise("S183")
def test_each_file_of_our_packages_and_each_example_is_in_the_wheel(wheel: Path) -> None:
    inside = {PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()}
    ours = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {PurePosixPath(path.relative_to(ROOT)) for path in ours if "__pycache__" not in path.parts}
    made_from = {name for name in wanted if name.suffix == ".in"}  # what the locks are resolved from
    assert wanted - made_from - inside == set()
    data = {name.relative_to(*name.parts[:1]) for name in inside if name.parts[0].endswith(".data")}
    examples = {path.relative_to(ROOT / "examples") for path in (ROOT / "examples").rglob("*.py")}
    assert {PurePosixPath("data/share/cellblock/examples", name) for name in examples} <= data
    assert {name for name in inside if name.parts[0] == "tests"} == set()


def test_every_module_is_imported_from_the_wheel_alone(programs: Path) -> None:
    done = run(programs, "python", "-W", "error", "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr


def test_the_command_of_the_wheel_knows_its_version(programs: Path) -> None:
    done = run(programs, "cellblock", "version", "--url", "http://127.0.0.1:9")
    assert done.stdout.splitlines()[0] == f"cellblock {__version__}", done.stderr


@pytest.mark.promise("S184")
def test_serve_before_setup_says_in_one_line_what_to_do(programs: Path, tmp_path: Path) -> None:
    done = run(programs, "cellblock", "serve", "--data-dir", str(tmp_path / "data"), "--bind", "127.0.0.1:0")
    folder = programs.parent / "share/cellblock/runtimes"
    name = f"python3.{sys.version_info.minor}"
    assert (done.returncode, done.stderr) == (
        2,
        f"cellblock: the default runtime {name} is not installed in {folder}; run once: cellblock setup\n",
    )
