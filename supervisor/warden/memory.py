"""When a cell has too much memory, where no cgroup says so: pure functions of a snapshot and ``now``.

The *resident* bytes of a cell's processes are cheap to read and count everything that is mapped, also
what is shared with the zygote.  While they grew by less than the limit since the lease nothing more has to
be known.  Only then the *proportional* bytes are asked for, whose sum is what the cell really takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# How often a cell that runs is looked at.  A process that does nothing but eat gets about 1 GiB in a
# second here: a quarter of that is what it can have too much, and a look costs some tens of microseconds.
LOOK_EVERY_S = 0.25
# A cell whose memory did not change since the last look is looked at half as often each time, down to this.
LOOK_SELDOM_S = 2.0


@dataclass(frozen=True)
class Look:
    """A cell's processes together, in bytes; ``proportional`` is None where it was not asked for."""

    resident: int
    proportional: int | None


@dataclass(frozen=True)
class Watched:
    """One leased cell; ``base`` is what it had before its function, the bytes used count from there."""

    limit_bytes: int
    base: Look
    next_look: float
    every_s: float = LOOK_EVERY_S
    resident: int = 0
    used: int = 0
    peak: int = 0
    is_frozen: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has to end."""
        return self.used > self.limit_bytes

    @property
    def suspicious_from(self) -> int:
        """Resident bytes from which on the proportional ones have to be known."""
        return self.base.resident + self.limit_bytes


def begin(limit_bytes: int, base: Look, now: float) -> Watched:
    """A cell that is leased at ``now``."""
    return Watched(limit_bytes, base, now + LOOK_EVERY_S)


def is_due(watched: Watched, now: float) -> bool:
    """Whether to look at it now; never while it is frozen, for then it takes nothing."""
    return not watched.is_frozen and now >= watched.next_look


def after_look(watched: Watched, look: Look, now: float) -> Watched:
    """What is known after a look at ``now``."""
    if look.proportional is None:
        used = max(0, look.resident - watched.base.resident)
    else:
        used = max(0, look.proportional - (watched.base.proportional or 0))
    has_changed = look.resident != watched.resident
    every_s = LOOK_EVERY_S if has_changed else min(LOOK_SELDOM_S, watched.every_s * 2)
    return replace(
        watched,
        resident=look.resident,
        used=used,
        # Resident bytes below the limit are an upper bound: a peak that was never higher.
        peak=max(watched.peak, min(used, watched.limit_bytes) if look.proportional is None else used),
        every_s=every_s,
        next_look=now + every_s,
    )


def frozen(watched: Watched, is_frozen: bool, now: float) -> Watched:
    """Its front froze it, or lets it go on; then it is looked at as often as at first."""
    return replace(watched, is_frozen=is_frozen, every_s=LOOK_EVERY_S, next_look=now + LOOK_EVERY_S)
