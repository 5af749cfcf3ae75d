"""A function's code on its way into a cell: a detached mount, or where there are no namespaces a folder.

Bundles are written by the fronts, which are less trusted than the warden: the folder itself and whatever is
below it is opened without following a link, without leaving it and without waiting for anybody.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from supervisor.warden.jail import _host_syscalls as sys_

log = logging.getLogger("cellblock.code")

CODE_ATTRIBUTES = sys_.MOUNT_ATTR_RDONLY | sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NODEV


@dataclass
class Code:
    """A bundle for one cell: a detached mount (``descriptor``), or a descriptor of its folder."""

    descriptor: int
    digest: str

    def close(self) -> None:
        """The cell has its own copy of the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Bundles:
    """The fronts' bundles, as the warden may touch them."""

    def __init__(self, folder: Path, as_mounts: bool, nothing: Path | None = None) -> None:
        """``nothing`` is an empty folder, made where it is not; without one cells see where bundles lie.

        OSError when ``folder`` is a link, or no folder.
        """
        self.folder = folder
        self._nothing = nothing
        if nothing is not None:
            nothing.mkdir(mode=0o555, exist_ok=True)
        self._as_mounts = as_mounts
        # The only path of the fronts' that is ever opened; what is below it, from this descriptor only.
        self._descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def open(self, digest: str) -> Code:
        """The bundle of that digest.  OSError when it is not there."""
        directory_fd = sys_.open_beneath(self._descriptor, digest)
        if not self._as_mounts:
            return Code(directory_fd, digest)
        try:
            if self._nothing is not None:
                try:
                    return Code(_of_its_own(directory_fd, self._nothing), digest)
                except OSError as error:
                    log.info("cells see in /proc/self/mountinfo where bundles lie: %s", error)
                    self._nothing = None
            tree = sys_.clone_tree("", directory_fd)
        finally:
            os.close(directory_fd)
        try:
            sys_.set_attributes(tree, CODE_ATTRIBUTES)
        except OSError:
            os.close(tree)
            raise
        return Code(tree, digest)

    def close(self) -> None:
        """At shutdown."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _of_its_own(directory_fd: int, nothing: Path) -> int:
    """A file system of its own; and so a lock on a file of it is nobody else's."""
    return sys_.overlay(directory_fd, str(nothing), CODE_ATTRIBUTES)


def copy_bundle(code: Code, target: Path) -> None:
    """The files of a bundle below ``target``, for a cell whose user cannot reach the original.

    Only folders and regular files: no link is followed, none is made, and a pipe is not waited for.  OSError.
    """
    # O_PATH does not list: open the same folder again through its descriptor.
    source = os.open(f"/proc/self/fd/{code.descriptor}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder, folders, files, folder_fd in os.fwalk(".", dir_fd=source, follow_symlinks=False):
            for name in folders:
                (target / folder / name).mkdir()
                (target / folder / name).chmod(0o755)  # whatever the umask is
            for name in files:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                opened = os.open(name, flags, dir_fd=folder_fd)
                with os.fdopen(opened, "rb") as original, (target / folder / name).open("xb") as copy:
                    mode = os.fstat(opened).st_mode
                    if not stat.S_ISREG(mode):
                        raise OSError(errno.EINVAL, "a bundle has regular files only", name)
                    shutil.copyfileobj(original, copy)
                (target / folder / name).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
    finally:
        os.close(source)
