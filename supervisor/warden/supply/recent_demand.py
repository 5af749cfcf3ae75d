"""How many blank cells to keep: as many as were asked for lately, within bounds.  Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

# How long a request counts, roughly.  A burst is often followed by another (a deploy of many functions, then
# their calls; a retry).  But blank cells hold memory that nobody uses, so not longer than some seconds.
MEMORY_S = 5.0
# Blank cells beyond the least take at most this fraction (one in ROOM_SHARE) of the room that is left.
ROOM_SHARE = 4


class RecentDemand(NamedTuple):
    """An exponentially decaying count of requests for cells: ``level`` is its value at time ``at``."""

    level: float = 0.0
    at: float = 0.0

    def now(self, now: float) -> float:
        """The level at ``now``."""
        return self.level * math.exp(-max(0.0, now - self.at) / MEMORY_S)


def after_request(demand: RecentDemand, most: int, now: float) -> RecentDemand:
    """The demand after one more request.  The level never exceeds ``most``."""
    return RecentDemand(min(demand.now(now) + 1.0, float(most)), now)


def blank_cells_to_keep(demand: RecentDemand, least: int, most: int, room: int, now: float) -> int:
    """How many blank cells of a kind to keep; ``least`` without any demand, and none if ``least`` is 0.

    ``room`` is how many more cells there may be in all.
    """
    if not least:
        return 0
    wanted = min(most, math.floor(demand.now(now)))
    return max(least, min(wanted, least + max(0, room) // ROOM_SHARE))
