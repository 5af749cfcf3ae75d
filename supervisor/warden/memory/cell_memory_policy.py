"""Decides what is done about a cell's memory: pure functions of what was read and of ``now``.

What counts are the pages that the cell's processes have touched since the cell was blank, each page once:
anonymous and shared memory, without the files in ``/tmp``, and without page cache.  There are two limits, as
there are for time:

    above ``memory``                 TELL: a MemoryError is raised in the handler's code
    above ``memory`` + SLACK_BYTES   KILL: the cell ends

A cell is always told before it is killed, and has HEARING_S to hear it, however much it takes meanwhile: the
limit of its cgroup bounds that.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from supervisor.function_limits import MIB

# From the MemoryError to the kill.  On a busy machine the error takes 5 ms to arrive, in which a loop can
# touch 8 MiB; code that catches the error needs some memory to go on; and a huge page has 2 MiB.
SLACK_BYTES = 32 * MIB
# A cell that takes this much more after it was told is told again: it caught the error, or our own code ran
# just then.
AGAIN_BYTES = 8 * MIB
# How long the error may take to arrive on a busy machine.  What the cell takes meanwhile does not count.
HEARING_S = 0.15
# Below this share of the limit a cell counts as not told again.
REARMED_SHARE = 0.9
# The limit of the cell's cgroup is this much above ``memory`` plus ``tmp``: for the blank cell's own pages,
# page tables, pipes, sockets, and SLACK_BYTES.
KERNEL_SLACK_BYTES = 48 * MIB
# On v1 the kernel stops a cell at its cgroup's limit.  The limit is raised by this much, once, after
# LIFT_AFTER_S, so that the cell goes on and gets the MemoryError that was sent meanwhile.
LIFT_BYTES = 12 * MIB
LIFT_AFTER_S = 0.01

# About what a process that does nothing but touch memory gets in a second.
FASTEST_BYTES_PER_S = 1 << 30
# The pause between two looks at a cell.  Where the kernel counts, it is LOOK_SOON_S to LOOK_EVERY_S: shorter
# the less is left to the limit.  Where each process has to be read (23 ms for one of 1 GiB), it is
# LOOK_EVERY_S.
LOOK_SOON_S = 0.005
LOOK_EVERY_S = 0.25
# While a cell's memory does not change the pause doubles, up to this.
LOOK_SELDOM_S = 2.0
# At worst the kernel sends an event for each page.  So an event that follows another one closely waits, twice
# as long each time up to the most.  That bounds the looks to 60 a second.
EVENT_LEAST_S, EVENT_MOST_S = 0.002, 0.016
# A front hears of a new peak when it is higher by the limit divided by this.
PEAK_STEPS = 16


class MemoryVerdict(enum.Enum):
    """What to do about a cell."""

    FINE = "fine"
    TELL = "tell"
    KILL = "kill"


class ProcessMemory(NamedTuple):
    """The bytes of all processes of a cell, read one by one.

    ``resident`` is cheap to read, and counts a shared page in each process.  ``proportional`` divides each
    page by the number of processes that share it; None if it was not read.
    """

    resident: int
    proportional: int | None


class WatchedCell(NamedTuple):
    """A leased cell.  ``is_counted``: the kernel counts its memory, so that a look costs microseconds."""

    limit_bytes: int
    next_look: float
    is_counted: bool = True
    every_s: float = LOOK_EVERY_S
    used: int = 0
    peak: int = 0
    is_frozen: bool = False
    # The bytes that it had when it was told, 0 if it was not; and when that was.
    told_used: int = 0
    told_at: float = 0.0
    has_met: bool = False


def kernel_bytes(memory_bytes: int, tmp_bytes: int) -> int:
    """The limit of the cell's cgroup, in which files in ``/tmp`` count as memory too."""
    return memory_bytes + tmp_bytes + KERNEL_SLACK_BYTES


def used_by_counters(anonymous: int, shared: int, in_tmp: int, base: int) -> int:
    """The bytes that the function has touched, by the counters; ``base`` is what the blank cell had."""
    return max(0, anonymous + max(0, shared - in_tmp) - base)


def used_by_look(look: ProcessMemory, base: ProcessMemory, limit_bytes: int) -> int:
    """The same by its processes.  Resident bytes are an upper bound, which is enough below the limit."""
    if look.proportional is None:
        return min(limit_bytes, max(0, look.resident - base.resident))
    return max(0, look.proportional - (base.proportional or 0))


def suspicious_from(base: ProcessMemory, limit_bytes: int) -> int:
    """Above this many resident bytes the proportional ones have to be read."""
    return base.resident + limit_bytes


def begin(limit_bytes: int, now: float, is_counted: bool) -> WatchedCell:
    """The state of a cell that is leased at ``now``."""
    watched = WatchedCell(limit_bytes, now, is_counted)
    return watched._replace(next_look=now + _pause(watched))


def after_look(watched: WatchedCell, used: int, now: float) -> WatchedCell:
    """The state after a look at ``now``."""
    has_changed = abs(used - watched.used) > watched.limit_bytes >> 8
    told_used = 0 if used < REARMED_SHARE * watched.limit_bytes else watched.told_used
    if told_used and now - watched.told_at < HEARING_S:
        told_used = max(told_used, used)
    seen = watched._replace(used=used, peak=max(watched.peak, used), told_used=told_used)
    every_s = _pause(seen) if has_changed else min(LOOK_SELDOM_S, watched.every_s * 2)
    return seen._replace(every_s=every_s, next_look=now + every_s)


def top_of(watched: WatchedCell) -> int:
    """The bytes at which the next decision falls."""
    return watched.limit_bytes + (SLACK_BYTES if watched.told_used else 0)


def _pause(watched: WatchedCell) -> float:
    """Seconds to the next look: no process can reach the limit in less."""
    if not watched.is_counted:
        return LOOK_EVERY_S
    room_s = max(0, top_of(watched) - watched.used) / FASTEST_BYTES_PER_S
    return min(LOOK_EVERY_S, max(LOOK_SOON_S, room_s))


def verdict(watched: WatchedCell, now: float) -> MemoryVerdict:
    """What to do after a look at ``now``."""
    over = watched.used - watched.limit_bytes
    if over <= 0:
        return MemoryVerdict.FINE
    if not watched.told_used:
        return MemoryVerdict.TELL
    if now - watched.told_at < HEARING_S:
        return MemoryVerdict.FINE
    if over > SLACK_BYTES:
        return MemoryVerdict.KILL
    return MemoryVerdict.TELL if watched.used >= watched.told_used + AGAIN_BYTES else MemoryVerdict.FINE


def verdict_when_held(watched: WatchedCell, is_lifted: bool, now: float) -> MemoryVerdict:
    """What to do about a cell that the kernel has stopped at its cgroup's limit (v1)."""
    if watched.used <= watched.limit_bytes or is_lifted:
        return MemoryVerdict.KILL
    is_on_its_way = watched.told_used and now - watched.told_at < HEARING_S
    return MemoryVerdict.FINE if is_on_its_way else MemoryVerdict.TELL


def told(watched: WatchedCell, now: float) -> WatchedCell:
    """The state of a cell that was told at ``now``.  The next look comes soon."""
    return watched._replace(
        told_used=watched.used,
        told_at=now,
        has_met=True,
        every_s=LOOK_SOON_S,
        next_look=now + (LOOK_SOON_S if watched.is_counted else LOOK_EVERY_S),
    )


def frozen(watched: WatchedCell, is_frozen: bool, now: float) -> WatchedCell:
    """The state of a cell that its front froze or thawed.  The pause between looks starts anew."""
    every_s = _pause(watched)
    return watched._replace(is_frozen=is_frozen, every_s=every_s, next_look=now + every_s)


def is_news(peak: int, told_peak: int, limit_bytes: int) -> bool:
    """Whether a front that knows of ``told_peak`` should hear of ``peak``."""
    return peak >= told_peak + max(MIB, limit_bytes // PEAK_STEPS)


def next_event_wait(wait_s: float) -> float:
    """How long the events of a cell wait whose events follow each other closely."""
    return min(EVENT_MOST_S, max(EVENT_LEAST_S, wait_s * 2))
