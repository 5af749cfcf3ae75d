"""What ``cellblock login`` keeps: a token for each server and space, in a file that its user alone can read.

``connection_config`` says when one is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from supervisor.cli.client.connection_config import checked_token, config_path
from supervisor.cli.command_errors import usage

FILE_MAX_BYTES = 1 << 20  # some thousand logins

Logins = dict[str, dict[str, str]]


def logins_path() -> Path:
    """The file, beside ``config.toml``."""
    return config_path().with_name("credentials.json")


def read_logins(path: Path) -> Logins:
    """The tokens by server and space; none without a file.  CommandFailure for one that cannot be used."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise usage(f"cannot read {path}: {error.strerror}; correct it or move it away") from None
    if stat.S_IMODE(mode) & 0o077:
        raise usage(f"cannot use {path}: other users can read it; run 'chmod 600 {path}'")
    try:
        found = json.loads(raw) if len(raw) <= FILE_MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(_is_table(table) for table in found.values()):
        raise usage(
            f"cannot use {path}: it is not what 'cellblock login' writes; move it away and log in again"
        )
    return found


def _is_table(table: object) -> bool:
    return isinstance(table, dict) and all(isinstance(token, str) for token in table.values())


def keep_login(path: Path, url: str, space: str, token: str) -> None:
    """Add a token, or take the place of the one before."""
    with _alone(path):
        logins = read_logins(path)
        logins.setdefault(url, {})[space] = checked_token(token)
        _write(path, logins)


def forget_login(path: Path, url: str, space: str | None) -> list[str]:
    """Remove the token for a space of a server, None for all of them; the spaces that it was for."""
    with _alone(path):
        logins = read_logins(path)
        table = logins.get(url, {})
        gone = [known for known in table if space in (None, known)]
        for known in gone:
            del table[known]
        if not table:
            logins.pop(url, None)
        if gone:
            _write(path, logins)
        return gone


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other login write meanwhile, and say what is wrong with the folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise usage(f"cannot keep the token in {path}: {error.strerror}; correct the folder") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # for the moment of another login
        yield
    except OSError as error:
        raise usage(f"cannot write {path}: {error.strerror}; correct the folder") from None
    finally:
        os.close(folder)


def _write(path: Path, logins: Logins) -> None:
    """All of the file or nothing, and readable for its owner alone from its first byte on."""
    part = path.with_name(f"{path.name}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(logins, file, indent=2, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
