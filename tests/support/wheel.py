"""Our wheel, built as a stranger builds it, and environments that have it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from uv import find_uv_bin

from supervisor.runtimes.install import uv_environment

ROOT = Path(__file__).parents[2]
# What setuptools reads of the checkout; a copy, because it leaves a folder beside it.
SOURCES = ("supervisor", "worker", "function", "seccomp", "examples", "deploy")
SOURCE_FILES = ("pyproject.toml", "README.md", "LICENSE")
# For the build tools to come from the registry, on a machine under load.
BUILD_SECONDS = 100.0
INSTALL_SECONDS = 300.0


def build_wheel(folder: Path) -> Path:
    """Build the wheel below ``folder``."""
    source, out = copied(folder / "source"), folder / "dist"
    locks = source / "supervisor/runtimes/locks/build.txt"
    uv("build", "--wheel", "--build-constraints", str(locks), "--out-dir", str(out), str(source))
    (wheel,) = out.glob("*.whl")
    return wheel


def build_by_hand(folder: Path, python: str) -> Path:
    """Build the wheel below ``folder`` by ``python -m build`` in an environment of its own: by an sdist."""
    source, out = copied(folder / "source"), folder / "dist"
    subprocess.run([python, "-m", "venv", str(folder / "build")], check=True, timeout=BUILD_SECONDS)
    programs = folder / "build/bin"
    for command in (
        [str(programs / "pip"), "install", "--quiet", "build"],
        [str(programs / "python"), "-m", "build", "--outdir", str(out), str(source)],
    ):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def copied(source: Path) -> Path:
    """What the build reads of the checkout, in ``source``."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCE_FILES:
        shutil.copy(ROOT / name, source / name)
    return source


def uv(*arguments: str) -> None:
    """Run uv as our own commands do."""
    done = subprocess.run(
        [find_uv_bin(), *arguments],
        env=uv_environment(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr


def clean_environment(folder: Path, python: str, wheel: Path) -> Path:
    """A new environment of that Python with pip, and the wheel with all that it depends on; its ``bin``."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True, timeout=BUILD_SECONDS)
    pip = [str(folder / "bin/pip"), "install", "--quiet", str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def environment_beside_ours(folder: Path, wheel: Path) -> Path:
    """An environment with the wheel, which takes what the wheel depends on from ours; its ``bin``."""
    uv("venv", "--quiet", "--python", sys.executable, str(folder))
    uv("pip", "install", "--quiet", "--python", str(folder / "bin/python"), "--no-deps", str(wheel))
    (packages,) = folder.glob("lib/python3.*/site-packages")
    # As a line of a .pth file it comes last, and its own .pth files (our checkout) are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"
