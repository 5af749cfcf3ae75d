"""User ids: two per cell, never 0, never the server's, and never reused while their owner lives."""

from __future__ import annotations

import hashlib
import heapq
import os
import pwd
from pathlib import Path

from supervisor.errors import ConfigurationError

IDS_PER_CELL = 2
# Above what systemd, container runtimes and directory services hand out, below 2^31.
RANGE_FIRST, RANGE_BLOCKS, BLOCK_IDS = 1_900_000_000, 1000, 65_536
DEFAULT_USER = "cellblock"
# Where no user of that name exists; in the range that Debian never assigns by itself.
DEFAULT_UID = 64_199
# The next one is -1 to setresuid(2), which means "as it is": the fronts would stay root.
MOST_UID = (1 << 32) - 2


def first_id(data_dir: Path, configured: int | None) -> int:
    """The first id of this server's block: two servers of one host seldom share one."""
    if configured is not None:
        return configured
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).digest()
    return RANGE_FIRST + int.from_bytes(digest[:4], "big") % RANGE_BLOCKS * BLOCK_IDS


def front_ids(user: str | None) -> tuple[int, int]:
    """``(uid, gid)`` of the fronts; ConfigurationError when the setting names nobody.

    An ordinary user has one id to give, its own.
    """
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    name = user or DEFAULT_USER
    try:
        entry = pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        if user is None:
            return DEFAULT_UID, DEFAULT_UID
        if not (user.isascii() and user.isdigit() and int(user) <= MOST_UID):
            raise ConfigurationError(
                f"setting user: there is no user {user!r}; create it or name another"
            ) from None
        uid = gid = int(user)
    if uid == 0:
        raise ConfigurationError("setting user: the fronts may not run as root; name another user")
    return uid, gid


class Slots:
    """Numbers of cells, each standing for a pair of ids; the lowest free one first."""

    def __init__(self, first: int, most: int) -> None:
        self._first = first
        self._most = most
        self._free = list(range(most))
        heapq.heapify(self._free)
        self._taken: set[int] = set()

    def resize(self, most: int) -> None:
        """From now on ``most`` in all; those above it that are taken stay so until they are given back."""
        self._most = most
        self._free = [slot for slot in range(most) if slot not in self._taken]

    @property
    def free(self) -> int:
        """How many are left."""
        return len(self._free)

    def take(self) -> int:
        """A slot; IndexError when none is free, which the caller has to have looked at."""
        slot = heapq.heappop(self._free)
        self._taken.add(slot)
        return slot

    def give_back(self, slot: int) -> None:
        """Only once the owner has been reaped: nothing of it can still act under these ids."""
        if slot not in self._taken:
            return  # said twice
        self._taken.discard(slot)
        if slot < self._most:
            heapq.heappush(self._free, slot)

    def keep_only(self, taken: set[int]) -> None:
        """These are taken and no others, whatever went wrong before."""
        for slot in self._taken - taken:
            self.give_back(slot)

    def ids(self, slot: int) -> tuple[int, int]:
        """The outer ids of the cell's root and of its tenant."""
        root = self._first + slot * IDS_PER_CELL
        return root, root + 1
