"""Opens a function's code for a cell: as a detached mount, or as a folder where there are no namespaces.

The fronts write the bundles, and the warden trusts the fronts less than itself.  So it opens them without
following a link, without leaving the folder, and without blocking on a pipe.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from supervisor.bundles.whole_mark import WHOLE_MTIME
from supervisor.warden.jail import _host_syscalls as sys_

log = logging.getLogger("cellblock.code")

CODE_ATTRIBUTES = sys_.MOUNT_ATTR_RDONLY | sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NODEV


@dataclass(eq=False, repr=False)
class BundleCode:
    """A bundle opened for one cell.  ``descriptor`` is a detached mount, or the bundle's folder."""

    descriptor: int
    digest: str

    def close(self) -> None:
        """Close the descriptor, once the cell has its copy."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Bundles:
    """The folder of all bundles, as the warden accesses it."""

    def __init__(self, folder: Path, as_mounts: bool, nothing: Path | None = None) -> None:
        """``nothing`` is an empty folder, made if missing; without one, cells see the path of their bundle.

        Raises OSError if ``folder`` is a link, or not a folder.
        """
        self.folder = folder
        self._nothing = -1
        if nothing is not None:
            nothing.mkdir(mode=0o555, exist_ok=True)
            self._nothing = os.open(nothing, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._as_mounts = as_mounts
        self._descriptor = self._opened()

    def _opened(self) -> int:
        # The only path of the fronts that is ever opened; bundles are opened relative to this descriptor.
        return os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def open(self, digest: str) -> BundleCode:
        """Open the bundle with that digest.  Raises FileNotFoundError if it is not whole, else OSError."""
        directory_fd = self._whole(digest)
        if not self._as_mounts:
            return BundleCode(directory_fd, digest)
        try:
            if self._nothing >= 0:
                try:
                    return BundleCode(_as_overlay(directory_fd, self._nothing), digest)
                except OSError as error:
                    log.info("cells see in /proc/self/mountinfo where bundles lie: %s", error)
                    self._close_nothing()
            tree = sys_.clone_tree("", directory_fd)
        finally:
            os.close(directory_fd)
        try:
            sys_.set_attributes(tree, CODE_ATTRIBUTES)
        except OSError:
            os.close(tree)
            raise
        return BundleCode(tree, digest)

    def _whole(self, digest: str) -> int:
        """Open the bundle's folder, to which nothing was done since its front made it."""
        try:
            directory_fd = sys_.open_beneath(self._descriptor, digest)
        except FileNotFoundError:
            # Somebody may have deleted the folder of all bundles, and a front have made another.
            descriptor, self._descriptor = self._descriptor, self._opened()
            os.close(descriptor)
            directory_fd = sys_.open_beneath(self._descriptor, digest)
        if int(os.fstat(directory_fd).st_mtime) != WHOLE_MTIME:
            os.close(directory_fd)
            raise FileNotFoundError(errno.ENOENT, "a part of it was deleted", digest)
        return directory_fd

    def close(self) -> None:
        """Close the folder, at shutdown."""
        self._close_nothing()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _close_nothing(self) -> None:
        nothing, self._nothing = self._nothing, -1
        if nothing >= 0:
            os.close(nothing)


def _as_overlay(directory_fd: int, nothing_fd: int) -> int:
    """The bundle as an overlay: its path is hidden, and its inodes, with their locks, are not shared."""
    return sys_.overlay(directory_fd, nothing_fd, CODE_ATTRIBUTES)


def copy_bundle(code: BundleCode, target: Path) -> None:
    """Copy a bundle to ``target``, for a cell whose user cannot reach the original.  Raises OSError.

    Copies folders and regular files only.  No link is followed or made, and no pipe blocks the copy.
    """
    # Imported here, because it would cost each start some ms, and most servers have namespaces.
    from shutil import copyfileobj

    # An O_PATH descriptor cannot be listed: open the folder again through it.
    source = os.open(f"/proc/self/fd/{code.descriptor}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder, folders, files, folder_fd in os.fwalk(".", dir_fd=source, follow_symlinks=False):
            for name in folders:
                (target / folder / name).mkdir()
                (target / folder / name).chmod(0o755)  # despite the umask
            for name in files:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                opened = os.open(name, flags, dir_fd=folder_fd)
                with os.fdopen(opened, "rb") as original, (target / folder / name).open("xb") as copy:
                    mode = os.fstat(opened).st_mode
                    if not stat.S_ISREG(mode):
                        raise OSError(errno.EINVAL, "a bundle has regular files only", name)
                    copyfileobj(original, copy)
                (target / folder / name).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
    finally:
        os.close(source)
