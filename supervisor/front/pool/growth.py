"""How many instances a pool asks for.  Pure: a function of a snapshot."""

from __future__ import annotations

import math
from typing import NamedTuple

# About what it costs to get an instance.  A queue that drains sooner is served best by waiting: more
# processes for a burst of very short calls would only compete for the CPU.
GROW_AFTER_S = 0.005
# If the oldest call waits this long although calls are usually quick, those that run now are slow ones.
STUCK_AFTER_S = 0.02
# With ``fresh``, this many instances beside those that serve: one is cleaned up while another is free.
FRESH_AHEAD = 2


class Snapshot(NamedTuple):
    """One front's pool of one version, at one moment; ``typical_s`` is 0.0 until a call has ended."""

    waiting: int
    oldest_waiting_s: float
    typical_s: float
    instances: int
    starting: int
    max_instances: int


def to_start(snapshot: Snapshot) -> int:
    """How many instances to ask for now.

    The first instance is asked for at once.  Then as many as drain the queue within GROW_AFTER_S, by the
    time that a call usually takes.  While that time is unknown, one for each call that has waited so long.
    One more whenever the oldest call is stuck and nothing starts.
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
