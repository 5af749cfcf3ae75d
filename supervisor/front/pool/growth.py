"""When a pool asks for another instance: a pure function of a snapshot."""

from __future__ import annotations

import math
from dataclasses import dataclass

# About what an instance costs to get.  A queue that is through sooner is served best by waiting: a
# burst of very short calls does not start processes that would only compete for the processor.
GROW_AFTER_S = 0.005
# The oldest waits this long although calls are usually quick: those that run now are not.
STUCK_AFTER_S = 0.02
# With ``fresh``, besides those that serve: one is being cleaned up while another is free.
FRESH_AHEAD = 2


@dataclass(frozen=True)
class Snapshot:
    """One front's pool of one version, at one moment; ``typical_s`` is 0.0 while no call has ended."""

    waiting: int
    oldest_waiting_s: float
    typical_s: float
    instances: int
    starting: int
    max_instances: int


def to_start(snapshot: Snapshot) -> int:
    """How many instances to ask for now.

    The first at once.  Then as many as it takes to be through the queue in GROW_AFTER_S, going by
    what a call usually takes; where that is not known yet, one for each who has waited that long; and
    one more each time somebody is stuck.
    """
    have = snapshot.instances + snapshot.starting
    if not snapshot.waiting or have >= snapshot.max_instances:
        return 0
    if not have:
        return 1
    if snapshot.typical_s:
        wanted = math.ceil(snapshot.waiting * snapshot.typical_s / GROW_AFTER_S) - snapshot.starting
        missing = wanted - snapshot.instances
        if snapshot.oldest_waiting_s >= STUCK_AFTER_S:
            missing = max(missing, 1 if not snapshot.starting else 0)
    else:
        missing = snapshot.waiting - snapshot.starting if snapshot.oldest_waiting_s >= GROW_AFTER_S else 0
    return max(0, min(missing, snapshot.waiting - snapshot.starting, snapshot.max_instances - have))
