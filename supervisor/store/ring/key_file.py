"""The file of the ring: private, replaced as a whole, and never by a key that nobody asked for."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.store.ring.key_ring import KEY_BYTES, RING_BYTES, KeyRing

log = logging.getLogger("cellblock.store")

KEY_NAME = "sealing.key"
LOCK_NAME = "sealing.lock"  # held by whoever replaces the file


def load_or_create_key(path: Path) -> KeyRing:
    """The ring in the file ``path``; makes one of random bytes, mode 0600 and synced, if there is none.

    Several processes may call it at once: all get the same key.  ConfigurationError when the file
    is not a regular file, can be read by others, or is not a key.
    """
    for _ in range(2):  # twice, because another process may make it between our look and our link
        try:
            return load_key(path)
        except FileNotFoundError:
            _write(path, secrets.token_bytes(KEY_BYTES), _link)
    return load_key(path)


def load_key(path: Path) -> KeyRing:
    """The ring in the file; FileNotFoundError, and ConfigurationError as in ``load_or_create_key``."""
    try:
        # NONBLOCK: a named pipe in its place must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"cannot read the sealing key {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"cannot use the sealing key {path}: it is not a regular file")
        if status.st_mode & 0o077:
            raise ConfigurationError(
                f"cannot use the sealing key {path}: others can read it; chmod 600 it, and consider it known"
            )
        data = file.read(RING_BYTES + 1)
    try:
        return KeyRing.decoded(data)
    except ValueError:
        raise ConfigurationError(
            f"cannot use the sealing key {path}: it must have {KEY_BYTES} bytes, or {RING_BYTES} during a "
            "rotation; restore it from a backup"
        ) from None


class KeyFile:
    """The file as one process knows it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None  # its inode and the time of its last change

    def load_or_create(self) -> KeyRing:
        """See ``load_or_create_key``."""
        load_or_create_key(self.path)
        self._seen = self._now()  # before it is read: what replaces it meanwhile is found later
        return load_key(self.path)

    def newer(self) -> KeyRing | None:
        """The ring, if it was replaced since it was read; PlatformError 503 if it cannot be read.

        Costs a system call.  A server goes on with what it knows when somebody has deleted the file.
        """
        now = self._now()
        if now is None or now == self._seen:
            return None
        try:
            ring = load_key(self.path)
        except (ConfigurationError, FileNotFoundError) as error:
            log.error("the sealing key was replaced: %s", error)
            raise PlatformError(
                503, "the sealing key cannot be read; try again, or ask the operator"
            ) from None
        self._seen = now
        return ring

    def _now(self) -> tuple[int, int] | None:
        try:
            status = os.lstat(self.path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def replace_key(path: Path, ring: KeyRing) -> None:
    """Put another ring in the file's place, on disk when this returns; ConfigurationError.

    Whoever reads it at any moment, or after a power cut, finds the ring before or this one.
    """
    _write(path, ring.encoded(), os.replace)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else replaces the file meanwhile; PlatformError 409 if somebody does so now."""
    lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError(
                409,
                "cannot rotate the sealing key: another request does so just now; wait for that one",
                headers={"Retry-After": "5"},
            ) from None
        yield
    finally:
        os.close(lock)


def _link(beside: Path, path: Path) -> None:
    """Give a new file its name, unless another process was faster: an existing key is never replaced."""
    with contextlib.suppress(FileExistsError):
        os.link(beside, path)


def _write(path: Path, content: bytes, place: Callable[[Path, Path], None]) -> None:
    # Written to a file beside it, which then gets the name: nobody reads half a key.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            place(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError(f"cannot make the sealing key {path}: {error.strerror}") from None
