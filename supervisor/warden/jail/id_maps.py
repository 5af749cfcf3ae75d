"""The user and group ids of this process's user namespace: in a rootless container far fewer than a host's.

An id that is not in the namespace's maps belongs to nobody: neither chown nor setuid takes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from supervisor.warden.jail import _host_syscalls as sys_

# Fewer give no server of tier A: one id is the fronts', and each cell has two.
LEAST_IDS = 64
# Whom a root that has no such ids becomes: in a namespace of its own, by another number for the same id.
ORDINARY_ID = 1000
_ROOT = 0


def usable(uid_map: str, gid_map: str) -> tuple[range, ...]:
    """The ids that are a user and a group in both maps, in order; pure.

    Left out is root, and whatever is root's in the namespace above: with its id the kernel lets a cell write
    settings of the host.
    """
    users, groups = _ranges(uid_map), _ranges(gid_map)
    both = (_common(user, group) for user in users for group in groups)
    return tuple(sorted((ids for ids in both if ids), key=lambda ids: ids.start))


def read() -> tuple[range, ...]:
    """The usable ids of this process's namespace."""
    return usable(*(Path(f"/proc/self/{name}").read_text() for name in ("uid_map", "gid_map")))


def has(ids: Sequence[range], first: int, last: int) -> bool:
    """Whether all ids from ``first`` to ``last`` are among ``ids``."""
    return any(first in found and last in found for found in ids)


def count(ids: Sequence[range]) -> int:
    """How many there are."""
    return sum(map(len, ids))


def shown(ids: Sequence[range]) -> str:
    """The ids, for a message."""
    return ", ".join(f"{found[0]}-{found[-1]}" for found in ids) or "none but root's"


def leave_a_root_without_ids() -> None:
    """As root of a namespace with too few ids, become an ordinary user of a namespace below.

    Then this process is what it is on the host, a single user, and the server serves as one (tier A-user).
    Where root is also root above, or may make no namespace, it stays; ``front_ids`` refuses to serve then.
    Only with one thread.
    """
    if os.geteuid() != _ROOT or count(read()) >= LEAST_IDS:
        return
    if any(_is_root_above(Path(f"/proc/self/{name}").read_text()) for name in ("uid_map", "gid_map")):
        return
    with contextlib.suppress(OSError):
        sys_.enter_user_namespace(inner=(ORDINARY_ID, ORDINARY_ID))


def _is_root_above(text: str) -> bool:
    """Whether our root is root in the namespace above."""
    return any((inner, outer) == (_ROOT, _ROOT) for inner, outer, _ in _entries(text))


def _entries(text: str) -> list[tuple[int, int, int]]:
    """The lines of a map: first id inside, first id outside, how many."""
    found = (tuple(map(int, line.split())) for line in text.splitlines())
    return [(inner, outer, length) for inner, outer, length in found]


def _ranges(text: str) -> list[range]:
    # Root, inside or outside, can only be the first id of a line.
    return [
        range(inner + (_ROOT in (inner, outer)), inner + length) for inner, outer, length in _entries(text)
    ]


def _common(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))
