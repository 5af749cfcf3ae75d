"""Secrets and variables at rest: AES-256-GCM with a key that is not in the store.

A sealed value is ``1 | nonce (12) | ciphertext and tag``.  It authenticates its space, kind and name, so an
attacker who can write to the store still cannot pass one value off as another.  Nonces are random: at 96
bits, 2**32 seals with one key stay far from a collision.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.errors import ConfigurationError, PlatformError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_NAME = "sealing.key"
KEY_BYTES = 32
NONCE_BYTES = 12
FORMAT = b"\x01"


class SealingError(Exception):
    """A sealed value was made with another key or for another name, or was altered."""


class Sealer:
    """Seals and opens values; its ``repr`` does not show the key."""

    def __init__(self, key: bytes) -> None:
        """``key`` is KEY_BYTES random bytes; ValueError otherwise."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a sealing key has {KEY_BYTES} bytes, not {len(key)}")

        @cache
        def cipher() -> AESGCM:
            # Imported once there is a value: it costs milliseconds of a start, for which callers wait.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            return AESGCM(key)

        self._cipher = cipher

    def seal(self, plain: bytes, *, space: str, kind: str, name: str) -> bytes:
        """``plain`` sealed for exactly this space, kind and name."""
        nonce = os.urandom(NONCE_BYTES)
        return FORMAT + nonce + self._cipher().encrypt(nonce, plain, _context(space, kind, name))

    def open(self, sealed: bytes, *, space: str, kind: str, name: str) -> bytes:
        """The plain bytes; SealingError for a value that was not sealed for this space, kind and name."""
        from cryptography.exceptions import InvalidTag

        nonce = sealed[len(FORMAT) : len(FORMAT) + NONCE_BYTES]
        if not sealed.startswith(FORMAT) or len(nonce) != NONCE_BYTES:
            raise SealingError(f"cannot open {kind} {name!r} of space {space!r}: unknown format")
        try:
            return self._cipher().decrypt(
                nonce, sealed[len(FORMAT) + NONCE_BYTES :], _context(space, kind, name)
            )
        except InvalidTag:
            raise SealingError(
                f"cannot open {kind} {name!r} of space {space!r}: sealed with another key, or altered"
            ) from None

    def open_value(self, sealed: bytes, *, space: str, kind: str, name: str) -> Any:
        """A secret's text or a variable's JSON value; PlatformError 500 where ``open`` has a SealingError."""
        try:
            plain = self.open(sealed, space=space, kind=kind, name=name)
        except SealingError as error:
            raise PlatformError(
                500, f"{error}; set it again, or restore the sealing.key that belongs to this store"
            ) from None
        return plain.decode() if kind == "secret" else json.loads(plain)


def _context(*parts: str) -> bytes:
    # Lengths make ("a", "bc") and ("ab", "c") different contexts.
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def load_or_create_key(path: Path) -> bytes:
    """The key in the file ``path``; makes one of random bytes, mode 0600 and synced, if there is none.

    Several processes may call it at once: all get the same key.  ConfigurationError when the file
    is not a regular file, can be read by others, or is not a key.
    """
    for _ in range(2):  # twice, because another process may make it between our look and our link
        try:
            return load_key(path)
        except FileNotFoundError:
            _create(path)
    return load_key(path)


def load_key(path: Path) -> bytes:
    """The key in the file; FileNotFoundError, and ConfigurationError as in ``load_or_create_key``."""
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
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"cannot use the sealing key {path}: it must have {KEY_BYTES} bytes; restore it from a backup"
        )
    return key


def _create(path: Path) -> None:
    # Written to a file beside it and linked: nobody reads half a key, and an existing key is never replaced.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(beside, path)
            except FileExistsError:
                return
        finally:
            beside.unlink()
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError(f"cannot make the sealing key {path}: {error.strerror}") from None
