"""When a function has touched too much memory: pure functions of what was seen and ``now``.

What counts is what the cell's processes touched since it was blank, each page once: anonymous memory and
shared memory, without what ``/tmp`` holds.  Page cache is nobody's.  Two limits, as with time:

    above ``memory``                 TELL: the handler's code gets a MemoryError where it stands
    above ``memory`` + SLACK_BYTES   KILL: the cell ends, unless it was told a moment ago and takes no more
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

MIB = 1 << 20
# From MemoryError to the kill.  A loop that fills memory gets 8 MiB in the 5 ms that the word takes on a busy
# machine, and what catches the error needs some to go on; a huge page is 2 MiB.
SLACK_BYTES = 32 * MIB
# Who has heard and takes so much more is told again: it has caught the error, or ran our code just then.
AGAIN_BYTES = 8 * MIB
# Until who was told has heard, on a busy machine: what it takes meanwhile is not held against it.
HEARING_S = 0.15
# Who gave so much of the limit back is told anew the next time.
REARMED_SHARE = 0.9
# What the kernel lets a cell have besides ``memory`` and ``tmp``, where it counts: its interpreter's pages
# before there was a function, page tables, pipes and sockets, and SLACK_BYTES.
KERNEL_SLACK_BYTES = 48 * MIB
# Who is held there gets so much more, once: the word is with its process by then, and heard when it goes on.
LIFT_BYTES = 12 * MIB
LIFT_AFTER_S = 0.01

# A process that does nothing but touch memory gets about so much in a second.
FASTEST_BYTES_PER_S = 1 << 30
# How often a cell that changes is looked at where the kernel counts: as its room to the limit allows.
LOOK_SOON_S = 0.005
# At the least; and where processes have to be read (23 ms for one of 1 GiB), at the most.
LOOK_EVERY_S = 0.25
# A cell whose memory did not change since the last look is looked at half as often each time, down to this.
LOOK_SELDOM_S = 2.0
# An event comes at the worst with every page.  One that follows another within this time waits, longer each
# time up to the most, and so costs one look: 60 in a second.
EVENT_LEAST_S, EVENT_MOST_S = 0.002, 0.016
# A front is told of a new peak in steps of this share of the limit.
PEAK_STEPS = 16


class Verdict(enum.Enum):
    """What is to be done about a cell."""

    FINE = "fine"
    TELL = "tell"
    KILL = "kill"


@dataclass(frozen=True)
class Look:
    """Processes read one by one, in bytes: ``resident`` is cheap and too much, ``proportional`` is None where
    it was not asked for, and else each page divided by those who share it."""

    resident: int
    proportional: int | None


@dataclass(frozen=True)
class Watched:
    """One leased cell.  ``is_counted``: by the kernel, so that a look costs microseconds."""

    limit_bytes: int
    next_look: float
    is_counted: bool = True
    every_s: float = LOOK_EVERY_S
    used: int = 0
    peak: int = 0
    is_frozen: bool = False
    # What it had when it was told, 0 if it was not; and when that was.
    told_used: int = 0
    told_at: float = 0.0
    has_met: bool = False


def kernel_bytes(memory_bytes: int, tmp_bytes: int) -> int:
    """The limit of a cell's group: what it puts into ``/tmp`` is memory too, and comes on top."""
    return memory_bytes + tmp_bytes + KERNEL_SLACK_BYTES


def used_by_counters(anonymous: int, shared: int, in_tmp: int, base: int) -> int:
    """What the function has touched, by its group's counters; ``base`` is what the blank cell had."""
    return max(0, anonymous + max(0, shared - in_tmp) - base)


def used_by_look(look: Look, base: Look, limit_bytes: int) -> int:
    """The same by its processes.  Resident bytes are an upper bound: below the limit nothing else matters."""
    if look.proportional is None:
        return min(limit_bytes, max(0, look.resident - base.resident))
    return max(0, look.proportional - (base.proportional or 0))


def suspicious_from(base: Look, limit_bytes: int) -> int:
    """Resident bytes from which on the proportional ones have to be known."""
    return base.resident + limit_bytes


def begin(limit_bytes: int, now: float, is_counted: bool) -> Watched:
    """A cell that is leased at ``now``."""
    watched = Watched(limit_bytes, now, is_counted)
    return replace(watched, next_look=now + _pause(watched))


def after_look(watched: Watched, used: int, now: float) -> Watched:
    """What is known after a look at ``now``."""
    has_changed = abs(used - watched.used) > watched.limit_bytes >> 8
    told_used = 0 if used < REARMED_SHARE * watched.limit_bytes else watched.told_used
    if told_used and now - watched.told_at < HEARING_S:
        told_used = max(told_used, used)
    seen = replace(watched, used=used, peak=max(watched.peak, used), told_used=told_used)
    every_s = _pause(seen) if has_changed else min(LOOK_SELDOM_S, watched.every_s * 2)
    return replace(seen, every_s=every_s, next_look=now + every_s)


def top_of(watched: Watched) -> int:
    """Where something is done about it next."""
    return watched.limit_bytes + (SLACK_BYTES if watched.told_used else 0)


def _pause(watched: Watched) -> float:
    """Until the next look: no process takes the room that is left in a shorter time."""
    if not watched.is_counted:
        return LOOK_EVERY_S
    room_s = max(0, top_of(watched) - watched.used) / FASTEST_BYTES_PER_S
    return min(LOOK_EVERY_S, max(LOOK_SOON_S, room_s))


def verdict(watched: Watched, now: float) -> Verdict:
    """After a look at ``now``."""
    over = watched.used - watched.limit_bytes
    if over <= 0:
        return Verdict.FINE
    if not watched.told_used:
        return Verdict.TELL
    if now - watched.told_at < HEARING_S:
        return Verdict.FINE
    if over > SLACK_BYTES:
        return Verdict.KILL
    return Verdict.TELL if watched.used >= watched.told_used + AGAIN_BYTES else Verdict.FINE


def verdict_when_held(watched: Watched, is_lifted: bool, now: float) -> Verdict:
    """Who touches more is held by the kernel, at its own limit, and goes on when that is lifted."""
    if watched.used <= watched.limit_bytes or is_lifted:
        return Verdict.KILL
    is_on_its_way = watched.told_used and now - watched.told_at < HEARING_S
    return Verdict.FINE if is_on_its_way else Verdict.TELL


def told(watched: Watched, now: float) -> Watched:
    """It was told at ``now``; it is looked at soon."""
    return replace(
        watched,
        told_used=watched.used,
        told_at=now,
        has_met=True,
        every_s=LOOK_SOON_S,
        next_look=now + (LOOK_SOON_S if watched.is_counted else LOOK_EVERY_S),
    )


def frozen(watched: Watched, is_frozen: bool, now: float) -> Watched:
    """Its front froze it, or lets it go on; then it is looked at as often as at first."""
    every_s = _pause(watched)
    return replace(watched, is_frozen=is_frozen, every_s=every_s, next_look=now + every_s)


def is_news(peak: int, told_peak: int, limit_bytes: int) -> bool:
    """Whether a front should hear of a peak, of which it knows a smaller one."""
    return peak >= told_peak + max(MIB, limit_bytes // PEAK_STEPS)


def next_patience(patience_s: float) -> float:
    """How long events of a cell wait that has just rung again."""
    return min(EVENT_MOST_S, max(EVENT_LEAST_S, patience_s * 2))
