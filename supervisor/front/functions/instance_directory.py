"""One front's instances, also those of versions that were replaced, and the warden's messages about them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from supervisor.front.functions.function_entry import FunctionEntry
from supervisor.front.functions.version_table import VersionTable
from supervisor.front.pool.eviction import Candidate, to_evict
from supervisor.front.pool.instance import Instance
from supervisor.front.pool.pool import Pool
from supervisor.front.warden_link import Ending, WardenLink
from supervisor.function_limits import LAST_SECONDS

# An instance that was idle for so long may go to another front that has a call for it.
SPARE_AFTER_S = 1.0
# At the server's end: from the warden's kill of the instances that still leave to its word on that.
FINISH_SLACK_S = 0.5


class InstanceDirectory:
    """``versions`` has the pools of the versions that serve calls."""

    def __init__(self, versions: VersionTable, warden: WardenLink) -> None:
        self._versions = versions
        # Pools of versions that were replaced and still finish calls: their instances must hear how they end.
        self._retired: set[Pool] = set()
        self._adopted: set[Instance] = set()  # instances of no pool
        self._loop = asyncio.get_running_loop()
        warden.on_return = self._return
        warden.on_reclaim = self._reclaim
        warden.on_spare = self._spare
        warden.on_ended = self._ended
        warden.on_met = self._met

    def retire(self, entries: Iterable[FunctionEntry]) -> None:
        """Take note of versions that serve no further call."""
        for entry in entries:
            entry.pool.retire()
            self._retired.add(entry.pool)

    def forget_ended(self) -> None:
        """Forget the replaced versions whose instances are all gone."""
        self._retired = {pool for pool in self._retired if pool.instances or pool.leaving}

    def kill_retired(self, cause: str) -> None:
        """Kill every instance of replaced versions."""
        for pool in self._retired:
            for instance in list(pool.instances):
                instance.kill(cause)

    def kill_space(self, space: str, cause: str) -> None:
        """Kill every instance of a space."""
        for pool in self._all_pools():
            if pool.identity.space == space:
                for instance in list(pool.instances):
                    instance.kill(cause)
                pool.hurry(len(pool.leaving))

    async def finish(self) -> None:
        """Wait for the instances whose exit hooks still run."""
        leaving = {instance.over for pool in self._retired for instance in pool.leaving}
        if leaving:
            await asyncio.wait(leaving, timeout=LAST_SECONDS + FINISH_SLACK_S)

    def _return(self, space: str, name: str, version: int) -> None:
        """The warden wants an instance of a version handed over to another front."""
        function = self._versions.entry((space, name), version)
        if function is not None:
            function.pool.reclaim()

    def _reclaim(self, space: str, number: int) -> None:
        """The warden wants ``number`` cells back, of a space or ("") of any."""
        candidates = [
            Candidate(
                key[0],
                each.last_used,
                is_idle=each.load == 0,
                is_leaving=each.is_retiring,
                is_kept=len(function.pool.instances) <= function.limits.min_instances,
                what=(function.pool, each),
            )
            for key, function in self._versions.all()
            for each in function.pool.serving
        ]
        for pool in self._all_pools():
            if pool.identity.space == (space or pool.identity.space):
                number -= pool.hurry(number)  # these have had more time to end than others will have
        for pool, instance in to_evict(candidates, space, number):
            instance.hurry()
            pool.make_way(instance, "released")

    def _spare(self, space: str, name: str, version: int) -> bool:
        """Hand an instance that was idle for a while to another front, which has a call for it and none."""
        function = self._versions.entry((space, name), version)
        return function is not None and function.pool.hand_back_idle(self._loop.time() - SPARE_AFTER_S)

    def _all_pools(self) -> tuple[Pool, ...]:
        """The pools of all versions here, replaced ones too while they have instances."""
        return (*(function.pool for _, function in self._versions.all()), *self._retired)

    def adopt(self, instance: Instance) -> None:
        """Have an instance of no pool told how it ends."""
        self._adopted = {other for other in self._adopted if not other.is_gone} | {instance}

    def instance(self, cell: str) -> Instance | None:
        """The instance in a cell that this front has leased."""
        for other in self._adopted:
            if other.cell == cell:
                return other
        for pool in self._all_pools():
            for instance in (*pool.instances, *pool.leaving):
                if instance.cell == cell:
                    return instance
        return None

    def _ended(self, cell: str, ending: Ending) -> None:
        instance = self.instance(cell)
        if instance is not None:
            instance.ended(ending)

    def _met(self, cell: str, what: str, peak_bytes: int) -> None:
        instance = self.instance(cell)
        if instance is not None:
            instance.limits_met.heard(what, peak_bytes)
