"""The secrets that the server makes for tenants: how they look, and what is kept of them.

``cb_KIND_``, 43 characters of 256 random bits, and 6 of a checksum, in base 62.  The prefix lets people,
scanners of code and the gateway tell one from any other text.  The checksum refuses a mistyped one without a
question to the store; it is no secret, and anybody can compute it.

Rule 1: only a digest is stored.  256 random bits cannot be guessed, so a plain SHA-256 is enough: slow hashes
are for passwords, and there are none.
Rule 2: a secret is found by its digest.  So no comparison's time depends on how much of a guess is right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import zlib
from typing import Literal

# A key of a space, the secret of an app, an access token that an app was given.
TokenKind = Literal["key", "app", "tok"]
RANDOM_BITS = 256
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARS, _CHECKSUM_CHARS = 43, 6
_WHOLE = re.compile(
    rb"(cb_(key|app|tok)_[0-9A-Za-z]{%d})([0-9A-Za-z]{%d})" % (_RANDOM_CHARS, _CHECKSUM_CHARS)
)
# Anything that begins as one of ours, and the token that the server makes for its administrator.
_OURS = re.compile(rb"(?<![0-9A-Za-z_-])cb_(?:(?:key|app|tok)_|[0-9A-Za-z_-]{43}(?![0-9A-Za-z_-]))")


def minted(kind: TokenKind) -> str:
    """A new secret, to be shown once."""
    body = f"cb_{kind}_{_base62(secrets.randbits(RANDOM_BITS), _RANDOM_CHARS)}"
    return body + _checksum(body.encode())


def kind_of(token: bytes) -> TokenKind | None:
    """The kind of a secret whose checksum is right; None for anything else."""
    match = _WHOLE.fullmatch(token)
    if match is None or _checksum(match[1]).encode() != match[3]:
        return None
    kind: TokenKind = match[2].decode()  # type: ignore[assignment]
    return kind


def is_ours(authorization: bytes) -> bool:
    """Whether an ``Authorization`` header has a secret of a server like this, valid or not, in any scheme."""
    if b"cb_" in authorization and _OURS.search(authorization):
        return True
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return False
    try:
        return _OURS.search(base64.b64decode(rest.strip() + b"==")) is not None
    except binascii.Error:
        return False


def stored_digest(token: bytes) -> str:
    """What the store keeps of a secret."""
    return hashlib.sha256(token).hexdigest()


def _checksum(body: bytes) -> str:
    return _base62(zlib.crc32(body), _CHECKSUM_CHARS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
