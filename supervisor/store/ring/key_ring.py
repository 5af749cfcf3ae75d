"""The keys that open values, and the one of them that seals.

A ring has one key, or during a rotation two.  A ring of one key is encoded as the key itself, as servers
before 0.7 wrote it; a ring of two as ``RING | number of the sealing key (1) | keys, the oldest first``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

KEY_BYTES = 32
KEYS_MOST = 2  # a rotation is finished before the next one begins
RING = b"cellblock sealing ring\n"
RING_BYTES = len(RING) + 1 + KEYS_MOST * KEY_BYTES


def recognised(key: bytes) -> str:
    """A text that tells this key from others and gives nothing away: the key is random."""
    return hashlib.sha256(b"cellblock sealing key\n" + key).hexdigest()[:32]


@dataclass(frozen=True)
class KeyRing:
    """``keys`` are the oldest first; ``sealing`` is the number of the one that seals.

    ValueError for keys of another length, for none, and for more than KEYS_MOST.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    sealing: int = 0

    def __post_init__(self) -> None:
        for key in self.keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"a sealing key has {KEY_BYTES} bytes, not {len(key)}")
        if not 1 <= len(self.keys) <= KEYS_MOST or not 0 <= self.sealing < len(self.keys):
            raise ValueError(f"a ring of {len(self.keys)} keys, of which number {self.sealing} seals")

    @classmethod
    def decoded(cls, data: bytes) -> KeyRing:
        """The ring that ``encoded`` gave, or a bare key; ValueError."""
        if not data.startswith(RING):
            return cls((data,))
        number, rest = data[len(RING) : len(RING) + 1], data[len(RING) + 1 :]
        keys = tuple(rest[at : at + KEY_BYTES] for at in range(0, len(rest), KEY_BYTES))
        return cls(keys, number[0] if number else KEYS_MOST)

    def encoded(self) -> bytes:
        """Its bytes in a file."""
        if len(self.keys) == 1:
            return self.keys[0]
        return RING + bytes([self.sealing]) + b"".join(self.keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """What tells each key from others, the oldest first."""
        return tuple(map(recognised, self.keys))

    @property
    def is_rotating(self) -> bool:
        """Whether there is a key whose values are to be sealed by a newer one."""
        return len(self.keys) > 1

    def with_new(self, key: bytes) -> KeyRing:
        """This ring of one key, and a new one that opens and does not seal yet."""
        return KeyRing((*self.keys, key), self.sealing)

    def sealing_with_newest(self) -> KeyRing:
        """The same keys, of which the newest seals."""
        return KeyRing(self.keys, len(self.keys) - 1)

    def newest_alone(self) -> KeyRing:
        """The ring without its older key."""
        return KeyRing(self.keys[-1:])
