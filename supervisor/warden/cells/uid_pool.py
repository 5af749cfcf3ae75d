"""User ids of cells: two each, never 0, never the server's, and never reused while the cell lives."""

from __future__ import annotations

import hashlib
import heapq
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from supervisor.errors import ConfigurationError
from supervisor.warden.jail import id_maps

IDS_PER_CELL = 2
# Above the ids that systemd, container runtimes and directory services hand out, and below 2^31.
RANGE_FIRST, RANGE_BLOCKS, BLOCK_IDS = 1_900_000_000, 1000, 65_536
DEFAULT_USER = "cellblock"
# Used if no user DEFAULT_USER exists.  Debian never assigns ids of this range by itself.
DEFAULT_UID = 64_199
# The next id is -1 to setresuid(2), which means "unchanged": the fronts would stay root.
MOST_UID = (1 << 32) - 2


# Ids from here on are free in an image; below it are the system's users.
FIRST_ORDINARY_ID = 1000


def cell_ids(data_dir: Path, configured: int | None, front: int, mapped: Sequence[range]) -> range:
    """The ids of this server's cells.

    They are derived from the data directory, so servers seldom share any; in a user namespace that has not
    so many ids, they are the longest row of those that it has, without the fronts' ``front``.  Raises
    ConfigurationError if the setting ``cell_uid_base`` names an id that cannot be had.
    """
    if configured is not None:
        room = next(
            (ids for ids in mapped if configured in ids and configured + IDS_PER_CELL - 1 in ids), None
        )
        if room is None:
            raise ConfigurationError(
                f"setting cell_uid_base: this user namespace has no id {configured}, but "
                f"{id_maps.shown(mapped)}; choose one of these, or leave the setting out"
            )
        return range(configured, min(room.stop, configured + BLOCK_IDS))
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).digest()
    first = RANGE_FIRST + int.from_bytes(digest[:4], "big") % RANGE_BLOCKS * BLOCK_IDS
    if id_maps.has(mapped, first, first + BLOCK_IDS - 1):
        return range(first, first + BLOCK_IDS)
    pieces = [
        piece
        for ids in mapped
        for piece in (range(ids.start, min(front, ids.stop)), range(max(front + 1, ids.start), ids.stop))
    ]
    longest = max(pieces, key=len, default=range(0))
    ordinary = range(max(longest.start, FIRST_ORDINARY_ID), longest.stop)
    return ordinary if len(ordinary) >= id_maps.LEAST_IDS else longest


def front_ids(user: str | None, mapped: Sequence[range]) -> tuple[int, int]:
    """``(uid, gid)`` of the fronts, of the ids that are ``mapped``.

    Without root the fronts run as the server's own user.  Raises ConfigurationError if the setting ``user``
    names no user, or one that cannot be had here.
    """
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if id_maps.count(mapped) < id_maps.LEAST_IDS:
        raise ConfigurationError(
            f"cannot serve as root of a user namespace with the ids {id_maps.shown(mapped)}: "
            f"{id_maps.LEAST_IDS} are needed beside root's; give it a range (/etc/subuid and /etc/subgid), "
            "or start as an ordinary user"
        )
    uid, gid = _front_ids_by_name(user, mapped)
    if not id_maps.has(mapped, uid, uid) or not id_maps.has(mapped, gid, gid):
        raise ConfigurationError(
            f"setting user: this user namespace has no user {uid} with group {gid}, but the ids "
            f"{id_maps.shown(mapped)}; name another user"
        )
    return uid, gid


def _front_ids_by_name(user: str | None, mapped: Sequence[range]) -> tuple[int, int]:
    name = user or DEFAULT_USER
    try:
        entry = pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        if user is None:
            own = DEFAULT_UID if id_maps.has(mapped, DEFAULT_UID, DEFAULT_UID) else max(mapped, key=len)[-1]
            return own, own
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

    def __init__(self, ids: range, most: int) -> None:
        """``most`` slots, or as many as there are pairs in ``ids``."""
        self._ids = ids
        self._taken: set[int] = set()
        self.resize(most)

    def resize(self, most: int) -> None:
        """Change the number of slots.  Those above ``most`` stay taken until they are given back."""
        self._most = min(most, len(self._ids) // IDS_PER_CELL)
        self._free = [slot for slot in range(self._most) if slot not in self._taken]  # sorted: a heap

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
        root = self._ids.start + slot * IDS_PER_CELL
        return root, root + 1
