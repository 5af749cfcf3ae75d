"""Secrets and variables at rest: AES-256-GCM with a key that is not in the store.

A sealed value is ``1 | nonce (12) | ciphertext and tag``.  It authenticates its space, kind and name, so an
attacker who can write to the store still cannot pass one value off as another.  Nonces are random: at 96
bits, 2**32 seals with one key stay far from a collision.  The row beside it names the key, for those who
look for values of an old one; opening tries the keys of the ring, of which there are two at most.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from supervisor.errors import PlatformError
from supervisor.store.ring.key_ring import KeyRing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
FORMAT = b"\x01"

T = TypeVar("T")


class SealingError(Exception):
    """A sealed value was made with another key or for another name, or was altered."""


class Sealer:
    """Seals and opens values; its ``repr`` does not show the keys.

    Threads may use it at once.  What seals or opens while the ring is replaced finishes with the one before.
    """

    def __init__(self, ring: KeyRing | bytes, newer: Callable[[], KeyRing | None] = lambda: None) -> None:
        """``ring`` may be a key alone; ValueError for one that is none.

        ``newer()`` gives the ring that has replaced it since it was asked last, if any.
        """
        self._ciphers = _Ciphers(ring if isinstance(ring, KeyRing) else KeyRing((ring,)))
        self._newer = newer
        self._refreshing = threading.Lock()  # an older ring must not replace a newer one

    @property
    def ring(self) -> KeyRing:
        """The keys that it knows."""
        return self._ciphers.ring

    def refresh(self) -> None:
        """Know the keys that there are by now; whatever ``newer`` raises."""
        with self._refreshing:
            ring = self._newer()
            if ring is not None:
                self._ciphers = _Ciphers(ring)

    def seal(self, plain: bytes, *, space: str, kind: str, name: str) -> bytes:
        """``plain`` sealed for exactly this space, kind and name."""
        return self.seal_named(plain, space=space, kind=kind, name=name)[0]

    def seal_named(self, plain: bytes, *, space: str, kind: str, name: str) -> tuple[bytes, str]:
        """The same, and the id of the key that did it."""
        ciphers = self._ciphers
        nonce = os.urandom(NONCE_BYTES)
        number = ciphers.ring.sealing
        sealed = ciphers.of(number).encrypt(nonce, plain, _context(space, kind, name))
        return FORMAT + nonce + sealed, ciphers.ring.ids[number]

    def open(self, sealed: bytes, *, space: str, kind: str, name: str) -> bytes:
        """The plain bytes; SealingError for a value that was not sealed for this space, kind and name."""
        from cryptography.exceptions import InvalidTag

        nonce = sealed[len(FORMAT) : len(FORMAT) + NONCE_BYTES]
        if not sealed.startswith(FORMAT) or len(nonce) != NONCE_BYTES:
            raise SealingError(f"cannot open {kind} {name!r} of space {space!r}: unknown format")
        ciphers = self._ciphers
        for number in reversed(range(len(ciphers.ring.keys))):
            try:
                return ciphers.of(number).decrypt(
                    nonce, sealed[len(FORMAT) + NONCE_BYTES :], _context(space, kind, name)
                )
            except InvalidTag:
                continue
        raise SealingError(
            f"cannot open {kind} {name!r} of space {space!r}: sealed with another key, or altered"
        )

    def open_value(self, sealed: bytes, *, space: str, kind: str, name: str) -> Any:
        """A secret's text or a variable's JSON value; PlatformError 500 where ``open`` has a SealingError."""
        try:
            plain = self.open(sealed, space=space, kind=kind, name=name)
        except SealingError as error:
            raise PlatformError(
                500, f"{error}; set it again, or restore the sealing.key that belongs to this store"
            ) from error
        return plain.decode() if kind == "secret" else json.loads(plain)


def read_again(sealer: Sealer, read: Callable[[], T]) -> T:
    """What ``read`` gives, which reads sealed values and opens them.

    It is run a second time if a value does not open: a rotation may have ended in between, and then what is
    in the store by now is opened by the keys that there are by now.
    """
    try:
        return read()
    except PlatformError as error:
        if not isinstance(error.__cause__, SealingError):
            raise
    sealer.refresh()
    return read()


class _Ciphers:
    """A ring, with a cipher for each key that was used."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

        @cache
        def cipher(number: int) -> AESGCM:
            # Imported once there is a value: it costs milliseconds of a start, for which callers wait.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            return AESGCM(ring.keys[number])

        self.of = cipher


def _context(*parts: str) -> bytes:
    # Lengths make ("a", "bc") and ("ab", "c") different contexts.
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
