"""Makes a /dev of new device nodes, because every process on the host could see a lock on one of its own."""

from __future__ import annotations

import os
import stat

from supervisor.warden.jail import _host_syscalls as sys_

# Name → (major, minor), the same on every machine (the kernel's Documentation/admin-guide/devices.txt).
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
# The usual links to a process's open files.
LINKS = {
    "fd": "/proc/self/fd",
    **{name: f"/proc/self/fd/{n}" for n, name in enumerate(("stdin", "stdout", "stderr"))},
}
TMPFS_OPTIONS = {"size": "64k", "nr_inodes": "16", "mode": "755"}


def own_devices() -> int:
    """A detached mount of NODES, LINKS and an empty ``shm``; takes 40 µs.

    Raises OSError without root or mknod.
    """
    tree = sys_.detached("tmpfs", TMPFS_OPTIONS, sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NOEXEC)
    try:
        for name, (major, minor) in NODES.items():
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=tree)
            os.chmod(name, 0o666, dir_fd=tree)  # noqa: S103 - despite the umask
        for name, target in LINKS.items():
            os.symlink(target, name, dir_fd=tree)
        os.mkdir("shm", dir_fd=tree)
        os.chmod("shm", 0o755, dir_fd=tree)  # noqa: S103 - a place to mount at
        # In some containers mknod works, but the nodes cannot be opened: find that out here.
        os.close(os.open("null", os.O_RDWR | os.O_CLOEXEC, dir_fd=tree))
        sys_.set_attributes(tree, sys_.MOUNT_ATTR_RDONLY)
    except OSError:
        os.close(tree)
        raise
    return tree
