"""How many cells to start now: pure functions of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

K = TypeVar("K")
# A fork and seven namespaces cost 4 to 8 ms of processor time; more of them at once than this only
# take the processor from calls that are running.
GROWING_AT_ONCE = 4
# A cell that was handed out starts its function now, which takes both processors for some milliseconds; the
# spare one that replaces it would take them from it.
REFILL_AFTER_S = 0.03
# Start-up failures of one zygote in a row: wait this long, doubling, before the next try.
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 10.0


@dataclass(frozen=True)
class Demand:
    """One kind of cell (runtime and network): what there is and what is asked for."""

    wanted_blank: int
    blank: int
    growing: int
    pending: int

    @property
    def owed(self) -> int:
        """Leases that wait for a cell which is neither there nor on its way."""
        return max(0, self.pending - self.blank - self.growing)


def shared_out(demands: Mapping[K, Demand], room: int) -> dict[K, int]:
    """How many cells of each kind to start, given room for ``room`` more in all; in the order of ``demands``.

    A spare cell has only the room that nobody is owed: at the limit one that made way for a lease would be
    grown again in its own place, and again, while the lease waits.
    """
    spare_room = room - sum(demand.owed for demand in demands.values())
    started = {}
    for kind, demand in demands.items():
        started[kind] = cells_to_start(replace(demand, wanted_blank=0), room)
        room -= started[kind]
    for kind, demand in demands.items():
        more = cells_to_start(replace(demand, growing=demand.growing + started[kind]), spare_room)
        started[kind] += more
        spare_room -= more
    return started


def cells_to_start(demand: Demand, room: int) -> int:
    """How many cells of this kind to start, given room for ``room`` more in all.

    Pending leases come first; the spare ones kept ready come on top of them.
    """
    missing = demand.wanted_blank + demand.pending - demand.blank - demand.growing
    return max(0, min(missing, GROWING_AT_ONCE - demand.growing, room))


def may_wait(demand: Demand) -> bool:
    """Whether the next spare cell can be grown a moment later: nobody waits, and half of them are there."""
    return not demand.pending and 0 < demand.wanted_blank <= 2 * demand.blank


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures in a row; 0 after none."""
    if failures <= 0:
        return 0.0
    return min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 16))
