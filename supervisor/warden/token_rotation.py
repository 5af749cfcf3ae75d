"""A new administrator's token for a server that runs, by whoever may write its data directory.

The new token is written to its file, the server reads it at SIGHUP, and says in another file once every front
knows it (``admin_token``).  So there is no socket to the warden, and no request that could ask for a token.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.errors import ConfigurationError
from supervisor.warden.admin_token import (
    IN_FORCE_FILE,
    PID_FILE,
    TOKEN_FILE,
    digest_of,
    new_token,
    write_private,
)
from supervisor.warden.fronts import parent_and_start_time

# Settings are read again within milliseconds and fronts answer within 2 s; a busy machine takes longer.
ROTATED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.02
PID_FILE_BYTES = 100


@dataclass(frozen=True)
class Rotated:
    """The new token, where it lies, and whether a server has it already."""

    token: str = field(repr=False)
    file: Path
    is_served: bool


def write_pid(data_dir: Path) -> None:
    """The pid of this process, which has the lock of the data directory, with its start time."""
    write_private(data_dir / PID_FILE, f"{os.getpid()} {parent_and_start_time(os.getpid())[1]}")


def rotate(data_dir: Path) -> Rotated:
    """Replace the token.  Raises ConfigurationError if that cannot be done, or is not known to be done."""
    file = data_dir / TOKEN_FILE
    token = new_token()
    try:
        descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pidfd = _server_of(data_dir, descriptor)
            try:
                write_private(file, token)
                if pidfd >= 0:
                    _have_it_read(data_dir, pidfd, digest_of(token))
            finally:
                if pidfd >= 0:
                    os.close(pidfd)
        finally:
            os.close(descriptor)
    except OSError as error:
        why = error.strerror or error
        raise ConfigurationError(
            f"cannot rotate the admin token in {data_dir}: {why}; name the server's --data-dir, "
            "and run this as the server's user"
        ) from None
    return Rotated(token, file, pidfd >= 0)


def _server_of(data_dir: Path, descriptor: int) -> int:
    """A pidfd of the server that holds this data directory; -1 if none does.

    Who starts a server meanwhile waits for its lock no longer than this look takes, or reads the new file.
    """
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return -1
    with (data_dir / PID_FILE).open() as file:
        pid, _, began = file.read(PID_FILE_BYTES).strip().partition(" ")
    pidfd = os.pidfd_open(int(pid))
    if str(parent_and_start_time(int(pid))[1]) != began:
        os.close(pidfd)
        raise ConfigurationError(
            f"cannot rotate the admin token: the server of {data_dir} is starting, or runs in another "
            "container; try again there"
        )
    return pidfd


def _have_it_read(data_dir: Path, pidfd: int, digest: str) -> None:
    """SIGHUP, and wait until every front knows the token."""
    signal.pidfd_send_signal(pidfd, signal.SIGHUP)
    deadline = time.monotonic() + ROTATED_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if (data_dir / IN_FORCE_FILE).read_text().strip() == digest:
                return
        time.sleep(LOOK_EVERY_S)
    raise ConfigurationError(
        f"the new admin token lies in {data_dir / TOKEN_FILE}, but the server did not say within "
        f"{ROTATED_WITHIN_S:g} s that every front knows it; look at its log, and restart it"
    )
