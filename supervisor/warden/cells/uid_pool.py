"""User ids of cells: two each, never 0, never the server's, and never reused while the cell lives."""

from __future__ import annotations

import hashlib
import heapq
import os
import pwd
from pathlib import Path

from supervisor.errors import ConfigurationError

IDS_PER_CELL = 2
# Above the ids that systemd, container runtimes and directory services hand out, and below 2^31.
RANGE_FIRST, RANGE_BLOCKS, BLOCK_IDS = 1_900_000_000, 1000, 65_536
DEFAULT_USER = "cellblock"
# Used if no user DEFAULT_USER exists.  Debian never assigns ids of this range by itself.
DEFAULT_UID = 64_199
# The next id is -1 to setresuid(2), which means "unchanged": the fronts would stay root.
MOST_UID = (1 << 32) - 2


def first_id(data_dir: Path, configured: int | None) -> int:
    """The first id of this server's block.

    It is derived from the data directory, so servers seldom share one.
    """
    if configured is not None:
        return configured
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).digest()
    return RANGE_FIRST + int.from_bytes(digest[:4], "big") % RANGE_BLOCKS * BLOCK_IDS


def front_ids(user: str | None) -> tuple[int, int]:
    """``(uid, gid)`` of the fronts.  Raises ConfigurationError if the setting ``user`` names no user.

    Without root the fronts run as the server's own user.
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


class UidPool:
    """Hands out slots, lowest first.  A slot is a number that stands for a pair of ids."""

    def __init__(self, first: int, most: int) -> None:
        self._first = first
        self._most = most
        self._free = list(range(most))
        heapq.heapify(self._free)
        self._taken: set[int] = set()

    def resize(self, most: int) -> None:
        """Change the number of slots.  Those above ``most`` stay taken until they are given back."""
        self._most = most
        self._free = [slot for slot in range(most) if slot not in self._taken]

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._free)

    def take(self) -> int:
        """Take a slot.  Raises IndexError if none is free: callers look at ``free`` first."""
        slot = heapq.heappop(self._free)
        self._taken.add(slot)
        return slot

    def give_back(self, slot: int) -> None:
        """Free a slot.  Only once its cell has been reaped, so that no process has these ids."""
        if slot not in self._taken:
            return  # given back before
        self._taken.discard(slot)
        if slot < self._most:
            heapq.heappush(self._free, slot)

    def keep_only(self, taken: set[int]) -> None:
        """Free every slot but these, to correct earlier errors."""
        for slot in self._taken - taken:
            self.give_back(slot)

    def ids(self, slot: int) -> tuple[int, int]:
        """The ids on the host of the cell's root and of its tenant."""
        root = self._first + slot * IDS_PER_CELL
        return root, root + 1
