"""When a pool asks for another instance: a pure function of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

# About what an instance costs to get.  A call that would wait less is served sooner by waiting, and
# a burst of very short calls does not start processes that would only compete for the processor.
GROW_AFTER_S = 0.005


@dataclass(frozen=True)
class Snapshot:
    """One front's pool of one version, at one moment."""

    waiting: int
    oldest_waiting_s: float
    instances: int
    starting: int
    max_instances: int


def to_start(snapshot: Snapshot) -> int:
    """How many instances to ask for now.

    The first one at once; further ones only for calls that have waited longer than one costs, as
    many as are waiting beyond those already on their way.
    """
    if not snapshot.waiting:
        return 0
    have = snapshot.instances + snapshot.starting
    if have and snapshot.oldest_waiting_s < GROW_AFTER_S:
        return 0
    wanted = snapshot.waiting - snapshot.starting
    return max(0, min(wanted, snapshot.max_instances - have, 1 if not have else wanted))
