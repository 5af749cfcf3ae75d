"""How many blank cells are kept: as many as were asked for lately, within bounds.  Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

# What was asked for counts for about so long.  A burst is often followed by another (a deploy of many
# functions, then their calls; a retry), and a blank cell is memory that nobody uses: so some seconds.
MEMORY_S = 5.0
# Of the cells that there is still room for, blank ones beyond the least take one in so many at most.
ROOM_SHARE = 4


@dataclass(frozen=True)
class Pace:
    """Cells asked for lately, each counting less the longer ago it was: ``level`` as of ``at`` seconds."""

    level: float = 0.0
    at: float = 0.0

    def now(self, now: float) -> float:
        """The level at ``now``."""
        return self.level * math.exp(-max(0.0, now - self.at) / MEMORY_S)


def after_one(pace: Pace, most: int, now: float) -> Pace:
    """One more cell was asked for; what is beyond ``most`` has no effect, not even later."""
    return Pace(min(pace.now(now) + 1.0, float(most)), now)


def to_keep(pace: Pace, least: int, most: int, room: int, now: float) -> int:
    """How many blank cells to keep of a kind of which ``least`` are kept when it is quiet.

    ``room`` is how many more cells there may be in all.  Where none are kept, none are kept ahead either.
    """
    if not least:
        return 0
    wanted = min(most, math.floor(pace.now(now)))
    return max(least, min(wanted, least + max(0, room) // ROOM_SHARE))
