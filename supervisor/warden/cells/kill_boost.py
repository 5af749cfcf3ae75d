"""Raises the CPU weight of all cells while one with many processes is killed.

The end of a process costs the kernel a fraction of a millisecond, which the cells' cgroup pays for.  All
cells together have the CPU weight of one front, so sixty-four ends would wait behind everything else while
the cell still holds its memory and its place.  The boost is limited in time, and to cells with many
processes.
"""

from __future__ import annotations

import asyncio

from supervisor.warden.jail.cgroups import Cgroups, Leaf

MANY_PROCESSES = 16
# The factor on the usual CPU weight.  More than this slows the fronts noticeably.
WEIGHT_TIMES = 4
# A cell that has not ended by then waits for something other than the processor.
BOOST_MOST_SECONDS = 0.5


class KillBoost:
    """Boosts while at least one cell with MANY_PROCESSES is being killed."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._ending: dict[Leaf, asyncio.TimerHandle] = {}
        # A server that was killed during a boost left the group with the raised weight.
        cgroups.set_cpu_weight(1)

    def begin(self, leaf: Leaf) -> None:
        """The cell of this leaf is about to be killed."""
        if leaf in self._ending or leaf.process_count() < MANY_PROCESSES:
            return
        if not self._ending:
            self._cgroups.set_cpu_weight(WEIGHT_TIMES)
        self._ending[leaf] = asyncio.get_running_loop().call_later(BOOST_MOST_SECONDS, self.end, leaf)

    def end(self, leaf: Leaf) -> None:
        """The cell is gone, or its time is up."""
        timer = self._ending.pop(leaf, None)
        if timer is None:
            return
        timer.cancel()
        if not self._ending:
            self._cgroups.set_cpu_weight(1)
