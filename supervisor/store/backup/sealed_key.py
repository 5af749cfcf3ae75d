"""The sealing keys in a backup, under a passphrase: scrypt, then AES-256-GCM over the ring.

``n | r | p (4 each) | salt (16) | nonce (12) | ciphertext and tag``.  It authenticates the backup's header.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from supervisor.errors import ConfigurationError
from supervisor.store.ring.key_ring import KEY_BYTES, RING_BYTES, KeyRing
from supervisor.store.sealing import NONCE_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# 128 MiB and a third of a second for each guess (OWASP's first choice).
COST_N, COST_R, COST_P = 1 << 17, 8, 1
# A file may ask for no more: it could be anybody's.
COST_MOST_N, COST_MOST_R, COST_MOST_P = 1 << 20, 16, 4
SALT_BYTES = 16
TAG_BYTES = 16
PASSPHRASE_LEAST_CHARS = 12
_COST = struct.Struct(">III")
_AROUND_BYTES = _COST.size + SALT_BYTES + NONCE_BYTES + TAG_BYTES
SEALED_BYTES = _AROUND_BYTES + KEY_BYTES, _AROUND_BYTES + RING_BYTES


def seal_key(ring: KeyRing, passphrase: str, header: bytes) -> bytes:
    """The keys for a file with that header; ConfigurationError for a short passphrase."""
    if len(passphrase) < PASSPHRASE_LEAST_CHARS:
        raise ConfigurationError(
            f"cannot use this passphrase: it has fewer than {PASSPHRASE_LEAST_CHARS} characters; "
            "choose a longer one"
        )
    cost = _COST.pack(COST_N, COST_R, COST_P)
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = _cipher(passphrase, salt, COST_N, COST_R, COST_P).encrypt(nonce, ring.encoded(), header)
    return cost + salt + nonce + sealed


def open_key(sealed: bytes, passphrase: str, header: bytes) -> KeyRing:
    """The keys again; ConfigurationError for another passphrase."""
    from cryptography.exceptions import InvalidTag

    n, r, p = _COST.unpack_from(sealed) if len(sealed) in SEALED_BYTES else (0, 0, 0)
    is_power = n > 1 and n & (n - 1) == 0
    if not is_power or n > COST_MOST_N or not 1 <= r <= COST_MOST_R or not 1 <= p <= COST_MOST_P:
        raise ConfigurationError("cannot open the sealing key of the backup: its form is not known here")
    salt_at, nonce_at = _COST.size, _COST.size + SALT_BYTES
    key_at = nonce_at + NONCE_BYTES
    cipher = _cipher(passphrase, sealed[salt_at:nonce_at], n, r, p)
    try:
        return KeyRing.decoded(cipher.decrypt(sealed[nonce_at:key_at], sealed[key_at:], header))
    except InvalidTag:
        raise ConfigurationError(
            "cannot open the sealing key of the backup: the passphrase is wrong; try again, or leave the key "
            "out (--without-key)"
        ) from None


def _cipher(passphrase: str, salt: bytes, n: int, r: int, p: int) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return AESGCM(Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase.encode()))
