"""Which version serves a call of an alias: a share of the calls goes to a second one, its canary.  Pure.

A caller that gives a key gets the same version with each call.  While the share only grows, a key that got
the canary keeps it, in every front and on every server: the key's place, out of ``PLACES``, is a hash of the
key, the function and the canary, and those below the share are the canary's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Generic, TypeVar

# Of hundredths of a percent, in which a share is given.
PLACES = 10_000
KEY_HEADER = b"x-canary-key"

E = TypeVar("E")


class Traffic(Generic[E]):
    """The calls of one alias, or of one version that is called by its number."""

    __slots__ = ("_salted", "canary", "main", "share")

    def __init__(self, main: E, canary: E | None = None, share: int = 0, salt: str = "") -> None:
        """``salt`` differs between canaries: it is not always the same callers that try what is new."""
        self.main = main
        self.canary = canary
        self.share = share
        self._salted = hashlib.blake2b(f"{salt}\0".encode(), digest_size=8)

    def choose(self, headers: Sequence[tuple[bytes, bytes]]) -> E:
        """What serves a call with these headers."""
        if self.canary is None:
            return self.main
        # From here on the bytes are hostile: a caller may choose its key, and so its version.
        for name, value in headers:
            if name == KEY_HEADER and value:
                return self.canary if self.place_of(value) < self.share else self.main
        return self.canary if random.random() * PLACES < self.share else self.main  # noqa: S311

    def place_of(self, key: bytes) -> int:
        """Where a caller's key stands, from 0 to PLACES - 1."""
        hashed = self._salted.copy()
        hashed.update(key)
        return int.from_bytes(hashed.digest(), "big") % PLACES
