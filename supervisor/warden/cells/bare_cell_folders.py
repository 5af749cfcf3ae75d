"""Folders for cells without namespaces (tiers B, C and none): scratch space, and in B a copy of the code.

A cell with a mount namespace mounts its own.  Each of the others gets a folder below ``data_dir/run``, which
is removed after the cell has been reaped.  A child process (``rm``) removes it: the folder may be of any
depth, and the warden walks no tree that a tenant could write.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from supervisor.errors import ConfigurationError
from supervisor.runtimes import Runtime
from supervisor.warden.cells.code_mount import BundleCode, Bundles, copy_bundle
from supervisor.warden.jail.private_root import system_root
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch.zygote_launch import WORKER_NAME, package_dir
from supervisor.warden.processes import Children

# Modes of folders: of our code, which cells of any user read; of parents, whose entries nobody may list; of
# scratch space.
READABLE, PASSABLE, PRIVATE = 0o755, 0o711, 0o700


def _folder(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)  # despite the umask


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o001)


class BareCellFolders:
    """The folders of all cells of one server."""

    def __init__(self, run_dir: Path, tier: Tier, children: Children) -> None:
        # Imported here, because it would cost each start some ms, and most servers have namespaces.
        import shutil

        self._tier = tier
        self._children = children
        self.code_dir = run_dir / "code"
        self._cells = run_dir / "cells"
        if tier is Tier.B and (
            closed := next((path for path in run_dir.parents if not _is_open(path)), None)
        ):
            raise ConfigurationError(
                f"cannot serve in tier B: {closed} lets no other user pass, and every cell is one; "
                f"chmod o+x {closed}, or choose another data_dir"
            )
        _folder(run_dir, PASSABLE)
        self._clear(self._cells)  # left by a server that was killed
        _folder(self._cells, PASSABLE)
        shutil.rmtree(self.code_dir, ignore_errors=True)
        _folder(self.code_dir, READABLE)
        for package, name in (("worker", WORKER_NAME), ("function", "function")):
            # Nothing else of ours: a cell can import all that is on its path.
            shutil.copytree(
                package_dir(package), self.code_dir / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for folder, _, files in os.walk(self.code_dir):
            os.chmod(folder, READABLE)
            for name in files:
                os.chmod(f"{folder}/{name}", 0o644)

    def make(self, name: str, uid: int) -> Path:
        """Make a cell's folder.  Its scratch space belongs to ``uid`` where cells have ids of their own."""
        folder = self._cells / name
        _folder(folder, PASSABLE)
        _folder(folder / "function", READABLE)
        _folder(folder / "tmp", PRIVATE)
        if self._tier is Tier.B:
            os.chown(folder / "tmp", uid, uid)
        return folder

    def function_dir(self, name: str, code: BundleCode | None, bundles: Bundles) -> Path:
        """The folder of the cell's code: the bundle itself, or a copy if the cell runs as another user."""
        if code is None:
            return self._cells / name / "function"
        if os.geteuid() != 0:
            return bundles.folder / code.digest
        copy_bundle(code, self._cells / name / "function")
        return self._cells / name / "function"

    def readable_by(self, runtimes: Iterable[Runtime]) -> dict[str, list[str]]:
        """Runtime → the paths that Landlock lets its cells read."""
        system = _system_paths()
        return {
            runtime.name: [*system, *map(str, runtime.host_dirs), str(runtime.libraries), str(self.code_dir)]
            for runtime in runtimes
        }

    def tmp_dir(self, name: str) -> Path:
        """The cell's scratch space."""
        return self._cells / name / "tmp"

    def drop(self, name: str) -> None:
        """Remove the folder of a cell that has been reaped."""
        self._clear(self._cells / name)

    def _clear(self, folder: Path) -> None:
        if folder.exists():
            away = folder.with_name(f"{folder.name}.gone")
            folder.rename(away)
            process = subprocess.Popen(
                ["/bin/rm", "-rf", "--one-file-system", "--", str(away)], stdin=subprocess.DEVNULL
            )
            process.returncode = 0  # ``Children`` reaps it
            self._children.adopt(process.pid, lambda _: None)


def _system_paths() -> list[str]:
    """The system's libraries and programs, which Landlock lets every cell read."""
    root = system_root()
    # Not those below /etc and /dev: these links exist only in a private root.
    links = [path for path in root.links if not path.startswith(("/etc/", "/dev/"))]
    return [*root.read_only, *links, "/etc/localtime", "/etc/nsswitch.conf"]
