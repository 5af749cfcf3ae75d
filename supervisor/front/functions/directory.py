"""The front's table of functions: a call finds its function here without a query.

An entry stays until the warden says that the function changed.  The front acknowledges a change only after
the entry is gone, so no call that begins after a deploy was answered sees the version before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from supervisor.bundles.bundle_store import BundleStore
from supervisor.bundles.imported_names import imports_of
from supervisor.errors import PlatformError
from supervisor.front.functions.deployed_limits import limits_in_force
from supervisor.front.functions.function_entry import FunctionEntry, entry_of
from supervisor.front.functions.public_functions import PublicFunctions
from supervisor.front.functions.single_flight import SingleFlight
from supervisor.front.functions.space_values import EncodedValues, SpaceValuesTable
from supervisor.front.functions.suspended_functions import Suspended, SuspendedFunctions
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome import refusals
from supervisor.front.pool.eviction import Candidate, to_evict
from supervisor.front.pool.instance import Instance
from supervisor.front.pool.pool import SWEEP_SECONDS, Pool
from supervisor.front.telemetry.call_counters import CallCounters
from supervisor.front.telemetry.metrics.call_metrics import CallMetrics
from supervisor.front.warden_link import DELETED, DRAINED, Ending, WardenLink
from supervisor.function_limits import LAST_SECONDS
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Deployment, FunctionKey, Lookups

log = logging.getLogger("cellblock.front")

# So many names that do not exist are remembered, or each call to one would cost a query.
UNKNOWN_MAX = 10_000
# An instance that was idle for so long may go to another front that has a call for it.
SPARE_AFTER_S = 1.0
# So often a front looks whether the code of its instances is still on disk: a system call for each function.
CODE_LOOK_S = 5.0
# Code that is lost so often between two sweeps is lost whatever we do, and its calls fail.
CODE_LOST_MOST = 5
# At the server's end: from the warden's kill of the instances that still leave to its word on that.
FINISH_SLACK_S = 0.5


class Directory:
    """One front's functions, and the warden's messages about them and their instances."""

    def __init__(
        self,
        store: Lookups,
        settings: FrontSettings,
        warden: WardenLink,
        runtime_of: Callable[[str], str],
        bundles: BundleStore,
        recorder: Recorder | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._warden = warden
        self._runtime_of = runtime_of
        self._bundles = bundles
        self._recorder = recorder
        self.functions: dict[FunctionKey, FunctionEntry] = {}
        self.call_counters = CallCounters(self.functions)
        self.call_metrics = CallMetrics(self.functions)
        self._space_values = SpaceValuesTable(store)
        self.values = self._space_values.known  # the gateway looks here first
        self.public = PublicFunctions()
        self._unknown: OrderedDict[FunctionKey, None] = OrderedDict()
        self._suspended = SuspendedFunctions()
        self._lookups = SingleFlight[FunctionKey]()
        # Pools of versions that were replaced and still finish calls: their instances must hear how they end.
        self._retired: set[Pool] = set()
        self._adopted: set[Instance] = set()  # instances of no pool
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation: dict[FunctionKey, int] = {}
        self._space_generation: dict[str, int] = {}
        self._is_leaving = False
        # Called after a function was deleted.
        self.on_deleted: Callable[[str, str], None] = lambda space, name: None
        warden.on_changed["function"] = self.changed
        warden.on_changed["values"] = self.values_changed
        warden.on_changed["space"] = self.space_changed
        warden.on_changed["deleted"] = self.space_deleted
        warden.on_code_lost = self._code_lost
        warden.on_reclaim = self._reclaim
        warden.on_spare = self._spare
        warden.on_ended = self._ended
        warden.on_met = self._met
        warden.on_survey = lambda space: self.call_counters.rows(space, self._loop.time())
        self._loop = asyncio.get_running_loop()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._codes_lost = Counter[FunctionKey]()
        self._code_looked_at = self._loop.time()

    # ---- functions --------------------------------------------------------------------------

    async def find(self, space: str, name: str) -> FunctionEntry | None:
        """The function, from the table or from the store; None when there is none.  Suspended."""
        key = (space, name)
        while True:
            if self._is_leaving:
                raise refusals.leaving()
            found = self.functions.get(key)
            if found is not None:
                return found
            if key in self._unknown:
                return None
            self._suspended.check(key)
            await self._lookups.of(key, lambda: self._look_up(key))

    async def _look_up(self, key: FunctionKey) -> None:
        generation = self._generation_of(key)
        deployment, imports = await asyncio.to_thread(self._read, key)
        if generation != self._generation_of(key):
            return  # it changed meanwhile: whoever waits has it read again
        if deployment is None:
            self.public.found(key, False)
            self.call_counters.forget(*key)
            self._unknown[key] = None
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)
            return
        if deployment.is_suspended:
            limits = limits_in_force(deployment.options, self._settings)
            self.public.found(key, limits.public)
            self._suspended.found(key, limits)
            return
        self.functions[key] = function = self._entry(deployment, imports)
        self.public.found(key, function.limits.public)

    def _read(self, key: FunctionKey) -> tuple[Deployment | None, tuple[str, ...]]:
        """The function's active version, whose code is on disk then, and the modules it imports; blocks."""
        deployment = self._store.deployment(*key)
        if deployment is None or deployment.is_suspended:
            return deployment, ()
        return deployment, imports_of(self._bundles.ensure(deployment.digest))

    def _generation_of(self, key: FunctionKey) -> tuple[int, int]:
        return self._generation.get(key, 0), self._space_generation.get(key[0], 0)

    def _entry(self, deployment: Deployment, imports: tuple[str, ...]) -> FunctionEntry:
        if self._recorder is not None:
            self._recorder.know(deployment.space, deployment.name)
        return entry_of(
            deployment,
            imports,
            self._runtime_of(deployment.template),
            settings=self._settings,
            warden=self._warden,
            values_of=self._space_values.of,
            recorder=self._recorder,
        )

    def retune(self, settings: FrontSettings) -> None:
        """Take other settings; a function whose limits they change gets new instances."""
        before, self._settings = self._settings, settings
        for key, function in list(self.functions.items()):
            after = self._entry(function.deployment, function.imports)
            is_same = (after.limits, after.pool.identity) == (function.limits, function.pool.identity)
            if not is_same or settings.text_content_type != before.text_content_type:
                self.changed(*key)
                continue
            function.allowance = after.allowance
            for name in ("queue_seconds", "queue_depth", "init_seconds"):
                setattr(function.pool, name, getattr(settings, name))
        self.begin_to_keep()

    def leave(self) -> None:
        """End everything, for the server ends now: waiting calls are refused, running ones are killed."""
        self._is_leaving = True
        for function in self.functions.values():
            function.pool.retire()
            self._retired.add(function.pool)
        self.functions.clear()
        for pool in self._retired:
            for instance in list(pool.instances):
                instance.kill(DRAINED)

    async def finish(self) -> None:
        """Leave, and wait for the instances whose exit hooks still run."""
        self.leave()
        leaving = {instance.over for pool in self._retired for instance in pool.leaving}
        if leaving:
            await asyncio.wait(leaving, timeout=LAST_SECONDS + FINISH_SLACK_S)

    async def values_of(self, space: str) -> EncodedValues:
        """The space's secrets and variables as of their last change."""
        return await self._space_values.of(space)

    # ---- changes ----------------------------------------------------------------------------

    def changed(self, space: str, name: str) -> None:
        """Forget a function: it changed in the store."""
        key = (space, name)
        self._generation[key] = self._generation.get(key, 0) + 1
        self._forget(key)
        self._in_background(self._start_kept([key]))

    def _forget(self, key: FunctionKey) -> None:
        self.public.changed(key)
        self._unknown.pop(key, None)
        self._suspended.forget(key)
        function = self.functions.pop(key, None)
        if function is not None:
            function.pool.retire()
            self._retired.add(function.pool)

    def space_changed(self, space: str, name: str = "") -> None:
        """Forget the functions of a space that was suspended or resumed: their idle instances end.

        Calls that run already finish.
        """
        self._forget_space(space)
        self.begin_to_keep()  # if it was resumed

    def space_deleted(self, space: str, name: str = "") -> None:
        """Forget all of a space that was deleted, end what runs in it, and keep no more lines of its logs."""
        known = self._forget_space(space)
        for key in known:
            self.call_counters.forget(*key)
            self.public.found(key, False)
        self.on_deleted(space, "")
        if self._recorder is not None:
            self._recorder.forget_space(space)
        for pool in self._all_pools():
            if pool.identity.space == space:
                for instance in list(pool.instances):
                    instance.kill(DELETED)
                pool.hurry(len(pool.leaving))

    def _forget_space(self, space: str) -> list[FunctionKey]:
        self._space_generation[space] = self._space_generation.get(space, 0) + 1
        known = [*self.functions, *self._unknown, *self._suspended.keys()]
        keys = [key for key in known if key[0] == space] + self.public.of_space(space)
        for key in keys:
            self._forget(key)
        self._space_values.changed(space)
        return keys

    def values_changed(self, space: str, name: str = "") -> None:
        """Forget the secrets and variables of a space: they changed in the store."""
        self._space_values.changed(space)

    def _code_lost(self, space: str, name: str) -> bool:
        """Somebody deleted the function's code on disk: its instances are replaced by ones that have it.

        The next look-up has it brought back.  False if that did not help CODE_LOST_MOST times just now.
        """
        self._codes_lost[(space, name)] += 1
        if self._codes_lost[(space, name)] > CODE_LOST_MOST:
            return False
        log.warning("the code of %s/%s is brought back from the store: it was deleted on disk", space, name)
        self.changed(space, name)
        self._in_background(self._warden.changed("function", space, name))
        return True

    async def _look_at_code(self) -> None:
        """Find the functions with instances whose code was deleted."""
        running = {key: entry.deployment.digest for key, entry in self.functions.items() if entry.instances}

        def lost() -> list[FunctionKey]:
            return [key for key, digest in running.items() if not self._bundles.exists(digest)]

        for key in await asyncio.to_thread(lost):
            self._code_lost(*key)

    async def forget_logs(self, space: str, name: str) -> None:
        """Delete the log of a function that was deleted; its calls that still run log nothing more."""
        self.on_deleted(space, name)
        if self._recorder is None:
            return
        await self._recorder.forget(space, name)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    def begin_to_keep(self) -> None:
        """Have the instances that ``min_instances`` keeps started, and learn which functions are public."""
        self._in_background(self._keep_all())

    async def _keep_all(self) -> None:
        """Find every function that keeps instances, called or not, and every public one."""
        begun = self.public.begin()
        rows = await asyncio.to_thread(self._store.options)
        limits = {(row[0], row[1]): limits_in_force(dict(row[2]), self._settings) for row in rows}
        self.public.read(begun, (key for key, limit in limits.items() if limit.public))
        await self._start_kept([key for key, limit in limits.items() if limit.min_instances])

    async def _start_kept(self, keys: list[FunctionKey]) -> None:
        for key in keys:
            try:
                function = await self.find(*key)
            except Suspended:  # it is kept again when its space is resumed
                continue
            except PlatformError as error:
                log.error("%s/%s cannot be kept ready: %s", *key, error.message)
                continue
            if function is None:
                await self.forget_logs(*key)
            elif function.limits.min_instances:
                function.pool.keep()

    def _reclaim(self, space: str, name: str, number: int) -> None:
        """The warden wants an instance of one function handed over or, without a name, ``number`` cells."""
        if name:
            function = self.functions.get((space, name))
            if function is not None:
                function.pool.reclaim()
            return
        candidates = [
            Candidate(
                key[0],
                each.last_used,
                is_idle=each.load == 0,
                is_leaving=each.is_retiring,
                is_kept=len(function.pool.instances) <= function.limits.min_instances,
                what=(function.pool, each),
            )
            for key, function in self.functions.items()
            for each in function.pool.serving
        ]
        for pool in self._all_pools():
            if pool.identity.space == (space or pool.identity.space):
                number -= pool.hurry(number)  # these have had more time to end than others will have
        for pool, instance in to_evict(candidates, space, number):
            instance.hurry()
            pool.make_way(instance, "released")

    def _spare(self, space: str, name: str) -> bool:
        """Hand an instance that was idle for a while to another front, which has a call for it and none."""
        function = self.functions.get((space, name))
        return function is not None and function.pool.hand_back_idle(self._loop.time() - SPARE_AFTER_S)

    def _all_pools(self) -> tuple[Pool, ...]:
        """The pools of all versions here, replaced ones too while they have instances."""
        return (*(function.pool for function in self.functions.values()), *self._retired)

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

    def _sweep(self) -> None:
        now = self._loop.time()
        for function in self.functions.values():
            function.pool.evict_idle()
            function.pool.look_after(now - self._settings.freeze_seconds, function.allowance)
            if function.limits.min_instances:
                function.pool.keep()
        self._codes_lost.clear()
        if now - self._code_looked_at >= CODE_LOOK_S:
            self._code_looked_at = now
            self._in_background(self._look_at_code())
        self._retired = {pool for pool in self._retired if pool.instances or pool.leaving}
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
