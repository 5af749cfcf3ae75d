"""Prepares the data directory: its lock, its folders, and who owns them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from pathlib import Path

from supervisor.errors import ConfigurationError
from supervisor.settings.declarations import Settings
from supervisor.warden.token_rotation import write_pid

log = logging.getLogger("cellblock.warden")


def prepare(settings: Settings, front_uid: int, front_gid: int) -> int:
    """Lock the data directory and make its folders; the descriptor that holds the lock.  Idempotent.

    Raises ConfigurationError for a folder that cannot be used, or that another server uses.
    """
    try:
        return _prepared(settings, front_uid, front_gid)
    except OSError as error:
        raise ConfigurationError(
            f"cannot use {settings.data_dir}: {error.strerror}: {error.filename}; give the server "
            "a folder that it may write (in a container a volume), as root with CAP_CHOWN and "
            "CAP_DAC_OVERRIDE"
        ) from None


def _prepared(settings: Settings, front_uid: int, front_gid: int) -> int:
    data_dir, front_dir = settings.data_dir, settings.front_dir
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        data_dir.chmod(0o755)  # despite the umask; the private files in it have modes of their own
    lock = _locked(data_dir)
    front_dir.mkdir(exist_ok=True, mode=0o700)
    bundles = front_dir / "bundles"
    is_new = _real_folder(bundles, 0o755)
    owner = front_dir.stat().st_uid
    if owner == front_uid and is_new:  # it was deleted while no server ran
        os.chown(bundles, front_uid, front_gid, follow_symlinks=False)
    if owner != front_uid:
        # The operator changed the setting ``user``: hand over what the old fronts owned, and nothing else.
        for _, folders, files, descriptor in os.fwalk(front_dir):
            for name in (".", *folders, *files):
                if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid == owner:
                    os.chown(name, front_uid, front_gid, dir_fd=descriptor, follow_symlinks=False)
    return lock


def _locked(data_dir: Path) -> int:
    """Lock the data directory.

    So a second server refuses to start, and leftovers in it are a dead server's.  The kernel releases the
    lock when this process ends, in whatever way.
    """
    lock = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            f"cannot serve: another server uses {data_dir}; stop it, or choose another --data-dir"
        ) from None
    try:
        write_pid(data_dir)
    except OSError as error:  # a full disk stops no server
        log.warning("cellblock token rotate will not find this server: %s", error)
    return lock


def _real_folder(path: Path, mode: int) -> bool:
    """Make the folder if it is missing; whether it was.

    Raises ConfigurationError for a link or a file, which a front can make.
    """
    is_new = False
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
        is_new = True
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise ConfigurationError(
            f"cannot serve: {path} is no folder, or a link to one; find out who made it so, and remove it"
        )
    return is_new
