"""The processor of all cells while one of many processes is ended.

Each end of a process takes a fraction of a millisecond of the kernel's, and the cells of a server have
together no more of the processor than one front has: sixty-four ends wait behind everybody else, while their
memory and their place among the cells are taken.  Bounded: in time, and to cells of many processes.
"""

from __future__ import annotations

import asyncio

from supervisor.warden.jail.cgroups import Cgroups, Leaf

MANY_PROCESSES = 16
# So many times what they have otherwise: more of it is felt by the fronts.
TIMES = 4
# What has not ended by then is not a matter of the processor.
MOST_SECONDS = 0.5


class Hurry:
    """Knows which cells of many processes are being ended."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._ending: dict[Leaf, asyncio.TimerHandle] = {}
        # The group of a server that was killed in a hurry is this one's.
        cgroups.weigh(1)

    def begin(self, leaf: Leaf) -> None:
        """Its cell is about to be killed."""
        if leaf in self._ending or leaf.process_count() < MANY_PROCESSES:
            return
        if not self._ending:
            self._cgroups.weigh(TIMES)
        self._ending[leaf] = asyncio.get_running_loop().call_later(MOST_SECONDS, self.end, leaf)

    def end(self, leaf: Leaf) -> None:
        """It is gone, or has had its time."""
        timer = self._ending.pop(leaf, None)
        if timer is None:
            return
        timer.cancel()
        if not self._ending:
            self._cgroups.weigh(1)
