"""How many cells to start now: pure functions of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

K = TypeVar("K")
# To start a cell, a fork and seven namespaces, takes 4 to 8 ms of processor time.  More cells than this at
# once would take the processor from running calls.
GROWING_AT_ONCE = 4
# A cell that was handed out now imports its function, which takes some milliseconds of processor time.  The
# spare cell that replaces it waits this long, so as not to slow that import.
REFILL_AFTER_S = 0.03
# The wait after a failed start; it doubles with each further failure.
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 10.0


class Demand(NamedTuple):
    """The cells of one kind: how many there are, and how many are asked for."""

    wanted_blank: int
    blank: int
    growing: int
    pending: int

    @property
    def owed(self) -> int:
        """Waiting leases for which no cell is there or on its way."""
        return max(0, self.pending - self.blank - self.growing)


def starts_by_kind(demands: Mapping[K, Demand], room: int) -> dict[K, int]:
    """How many cells of each kind to start, if ``room`` more may exist; in the order of ``demands``.

    Spare cells get only the room that no waiting lease needs.  Otherwise a spare cell that was killed to make
    room for a lease would be started again in the same room, while the lease waits.
    """
    spare_room = room - sum(demand.owed for demand in demands.values())
    started = {}
    for kind, demand in demands.items():
        started[kind] = _to_start(demand.pending - demand.blank, demand.growing, room)
        room -= started[kind]
    for kind, demand in demands.items():
        wanted = demand.wanted_blank + demand.pending - demand.blank
        more = _to_start(wanted, demand.growing + started[kind], spare_room)
        started[kind] += more
        spare_room -= more
    return started


def _to_start(wanted: int, growing: int, room: int) -> int:
    """How many cells to start for ``wanted`` more, of which some are ``growing`` already."""
    return max(0, min(wanted - growing, GROWING_AT_ONCE - growing, room))


def can_refill_wait(demand: Demand) -> bool:
    """Whether the next spare cell can wait: no lease waits, and at least half of the spare cells exist."""
    return not demand.pending and 0 < demand.wanted_blank <= 2 * demand.blank


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures in a row."""
    if failures <= 0:
        return 0.0
    return min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 16))
