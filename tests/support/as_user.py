"""Become an ordinary user who can reach this checkout and its interpreter, and nothing of root's.

``python -m tests.support.as_user UID PATH... -- COMMAND...``.  Runs as root in a mount namespace of its
own: folders that only root may pass (a home, pytest's) are covered, and of what they hold only the PATHs
are put back.  Then it becomes the user for good and execs COMMAND: same pid, so signals reach it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from supervisor.warden.jail import _host_syscalls as sys_

# A user that Debian assigns to nobody, and not the fronts' of a server that runs as root.
ORDINARY_UID = 64_300


def closed_ancestor(path: Path) -> Path | None:
    """The highest folder above ``path`` that others may not pass."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)


def open_up(paths: list[Path]) -> None:
    """Make ``paths`` reachable for everybody, in a mount namespace of our own."""
    sys_.unshare(sys_.CLONE_NEWNS)
    sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
    closed = {path: folder for path in paths if (folder := closed_ancestor(path)) is not None}
    trees = {path: sys_.clone_tree(str(path)) for path in closed}
    for folder in sorted(set(closed.values())):
        sys_.mount("tmpfs", str(folder), "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=755")
    for path in sorted(trees):
        path.mkdir(parents=True, exist_ok=True)
        sys_.attach(trees[path], str(path))
        os.close(trees[path])


def main() -> None:
    """As the module says."""
    split = sys.argv.index("--")
    uid, paths, command = int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
    wanted = {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2], *map(Path, paths)}
    open_up(sorted(wanted))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
