"""The front's table of functions: a call finds its function here without a query.

An entry stays until the warden says that the function changed.  The front acknowledges a change only after
the entry is gone, so no call that begins after a deploy was answered sees the version before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from supervisor.bundles.bundle_store import BundleStore
from supervisor.bundles.imported_names import imports_of
from supervisor.errors import PlatformError
from supervisor.front.functions.deployed_limits import keeps_instances, limits_in_force, public_aliases
from supervisor.front.functions.function_entry import FunctionEntry, entry_of
from supervisor.front.functions.instance_directory import InstanceDirectory
from supervisor.front.functions.public_functions import PublicFunctions
from supervisor.front.functions.single_flight import SingleFlight
from supervisor.front.functions.space_values import EncodedValues, SpaceValuesTable
from supervisor.front.functions.suspended_functions import Suspended, SuspendedFunctions
from supervisor.front.functions.traffic import Traffic
from supervisor.front.functions.version_table import VersionTable
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome import refusals
from supervisor.front.pool.pool import SWEEP_SECONDS
from supervisor.front.telemetry.call_counters import CallCounters
from supervisor.front.telemetry.metrics.call_metrics import CallMetrics
from supervisor.front.warden_link import DELETED, DRAINED, WardenLink
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import CalledAlias, Deployment, FunctionKey, Lookups

log = logging.getLogger("cellblock.front")

# So many names that do not exist are remembered, or each call to one would cost a query.
UNKNOWN_MAX = 10_000
# So often a front looks whether the code of its instances is still on disk: a system call for each function.
CODE_LOOK_S = 5.0
# Code that is lost so often between two sweeps is lost whatever we do, and its calls fail.
CODE_LOST_MOST = 5


class Directory:
    """One front's functions, and the warden's messages about them; ``instances`` are in their pools."""

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
        # The active versions; those, and what aliases and numbers name, are in ``versions``.
        self.functions: dict[FunctionKey, FunctionEntry] = {}
        self.versions = VersionTable()
        self.call_counters = CallCounters(self.functions, self.versions.of)
        self.call_metrics = CallMetrics(self.functions, self.versions.of)
        self._space_values = SpaceValuesTable(store)
        self.values = self._space_values.known  # the gateway looks here first
        self.public = PublicFunctions()
        self._unknown: OrderedDict[FunctionKey, None] = OrderedDict()
        self._lookups = SingleFlight[tuple[str, str, int]]()  # of a version, or 0 for the active one
        self._suspended = SuspendedFunctions()
        self.instances = InstanceDirectory(self.versions, warden)
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation: dict[FunctionKey, int] = {}
        self._space_generation: dict[str, int] = {}
        self._is_leaving = False
        # Called after a function was deleted.
        self.on_deleted: Callable[[str, str], None] = lambda space, name: None
        warden.on_changed["function"] = self.changed
        warden.on_changed["values"] = self.values_changed
        warden.on_changed["space"] = self.space_changed
        warden.on_code_lost = self._code_lost
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
            await self._lookups.of((*key, 0), lambda: self._look_up(key))

    async def traffic(self, space: str, name: str, qualifier: str) -> Traffic[FunctionEntry] | None:
        """What an alias or a version's number leads to; None when there is none of that name."""
        key = (space, name)
        while True:
            if await self.find(*key) is None:
                return None
            found = self.versions.traffic.get(key, {}).get(qualifier)
            numbers = self.versions.numbers_of(key, qualifier)
            if found is not None or not numbers:
                return found
            entries = [self.versions.entry(key, number) for number in numbers]
            for number, entry in zip(numbers, entries, strict=True):
                if entry is None:
                    await self._lookups.of((*key, number), partial(self._look_up_version, key, number))
            there = [entry for entry in entries if entry is not None]
            if len(there) == len(numbers):
                return self.versions.lead(key, qualifier, there)

    async def _look_up_version(self, key: FunctionKey, number: int) -> None:
        generation = self._generation_of(key)
        deployment, imports = await asyncio.to_thread(
            self._with_imports, lambda: self._store.deployment_of(*key, number)
        )
        if generation != self._generation_of(key):
            return
        if deployment is None:
            self.versions.is_absent(key, number)
            return
        # Only what an alias names keeps instances for nobody's call.
        self.versions.add(key, self._entry(deployment, imports, number in self.versions.named(key)))

    async def _look_up(self, key: FunctionKey) -> None:
        generation = self._generation_of(key)
        aliases: tuple[CalledAlias, ...] = ()

        def read() -> Deployment | None:
            nonlocal aliases
            aliases = self._store.aliases(*key)
            return self._store.deployment(*key)

        deployment, imports = await asyncio.to_thread(self._with_imports, read)
        if generation != self._generation_of(key):
            return  # it changed meanwhile: whoever waits has it read again
        if deployment is None:
            self.instances.retire(self.versions.forget(key))
            self.public.found(key, False)
            self.call_counters.forget(*key)
            self._unknown[key] = None
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)
            return
        if deployment.is_suspended:
            limits = limits_in_force(deployment.options, self._settings)
            self.public.found(key, limits.public, public_aliases(aliases, self._settings))
            self._suspended.found(key, limits)
            return
        function = self.versions.entry(key, deployment.version)
        if function is None or function.deployment.function_id != deployment.function_id:
            function = self._entry(deployment, imports)
        self.functions[key] = function
        self.instances.retire(self.versions.settle(key, function, aliases))
        self.public.found(key, function.limits.public, public_aliases(aliases, self._settings))

    def _with_imports(
        self, read: Callable[[], Deployment | None]
    ) -> tuple[Deployment | None, tuple[str, ...]]:
        """A version, whose code is on disk then, and the modules it imports; blocks."""
        deployment = read()
        if deployment is None or deployment.is_suspended:
            return deployment, ()
        return deployment, imports_of(self._bundles.ensure(deployment.digest))

    def _generation_of(self, key: FunctionKey) -> tuple[int, int]:
        return self._generation.get(key, 0), self._space_generation.get(key[0], 0)

    def _entry(
        self, deployment: Deployment, imports: tuple[str, ...], is_named: bool = True
    ) -> FunctionEntry:
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
            is_named=is_named,
        )

    def retune(self, settings: FrontSettings) -> None:
        """Take other settings; a function whose limits they change gets new instances."""
        before, self._settings = self._settings, settings
        for key, function in self.versions.all():
            after = self._entry(function.deployment, function.imports, function.is_named)
            is_same = (after.limits, after.pool.identity) == (function.limits, function.pool.identity)
            if not is_same or settings.text_content_type != before.text_content_type:
                self._forget(key)
                continue
            function.allowance = after.allowance
            for name in ("queue_seconds", "queue_depth", "init_seconds"):
                setattr(function.pool, name, getattr(settings, name))
        self.begin_to_keep()

    def leave(self) -> None:
        """End everything, for the server ends now: waiting calls are refused, running ones are killed."""
        self._is_leaving = True
        for key, _ in self.versions.all():
            self.instances.retire(self.versions.forget(key))
        self.functions.clear()
        self.instances.kill_retired(DRAINED)

    async def finish(self) -> None:
        """Leave, and wait for the instances whose exit hooks still run."""
        self.leave()
        await self.instances.finish()

    async def values_of(self, space: str, name: str) -> EncodedValues:
        """What a function gets of its space's secrets and variables, as of their last change."""
        return await self._space_values.of(space, name)

    # ---- changes ----------------------------------------------------------------------------

    def changed(self, space: str, name: str) -> None:
        """Forget a function and where its aliases lead: it changed in the store."""
        self._forget((space, name), self.versions.changed)

    def _forget(
        self,
        key: FunctionKey,
        versions: Callable[[FunctionKey], list[FunctionEntry]] | None = None,
    ) -> None:
        self._generation[key] = self._generation.get(key, 0) + 1
        self._drop(key, versions or self.versions.forget)
        self._in_background(self._start_kept([key]))

    def _drop(self, key: FunctionKey, versions: Callable[[FunctionKey], list[FunctionEntry]]) -> None:
        self.public.changed(key)
        self._unknown.pop(key, None)
        self._suspended.forget(key)
        self._space_values.deleted(*key)
        self.functions.pop(key, None)
        self.instances.retire(versions(key))

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
        self.instances.kill_space(space, DELETED)

    def _forget_space(self, space: str) -> list[FunctionKey]:
        self._space_generation[space] = self._space_generation.get(space, 0) + 1
        known = {*self.functions, *self.versions.keys(), *self._unknown, *self._suspended.keys()}
        keys = [key for key in known if key[0] == space] + self.public.of_space(space)
        for key in keys:
            self._drop(key, self.versions.forget)
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
        self._forget((space, name))
        self._in_background(self._warden.changed("function", space, name))
        return True

    async def _look_at_code(self) -> None:
        """Find the functions with instances whose code was deleted."""
        running = [(key, entry.deployment.digest) for key, entry in self.versions.all() if entry.instances]

        def lost() -> set[FunctionKey]:
            return {key for key, digest in running if not self._bundles.exists(digest)}

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
        rows, aliases = await asyncio.to_thread(lambda: (self._store.options(), self._store.all_aliases()))
        limits = {(row[0], row[1]): limits_in_force(dict(row[2]), self._settings) for row in rows}
        public = [(*key, name) for key, alias in aliases for name in public_aliases([alias], self._settings)]
        self.public.read(begun, (key for key, limit in limits.items() if limit.public), public)
        kept = [key for key, limit in limits.items() if limit.min_instances]
        kept += [key for key, alias in aliases if keeps_instances(alias, self._settings)]
        await self._start_kept(list(dict.fromkeys(kept)))

    async def _start_kept(self, keys: list[FunctionKey]) -> None:
        for key in keys:
            try:
                function = await self.find(*key)
                for alias in list(self.versions.aliases(key).values()):
                    if keeps_instances(alias, self._settings):
                        await self.traffic(*key, alias.name)
            except Suspended:  # it is kept again when its space is resumed
                continue
            except PlatformError as error:
                log.error("%s/%s cannot be kept ready: %s", *key, error.message)
                continue
            if function is None:
                await self.forget_logs(*key)
            for entry in list(self.versions.of(key)):
                if entry.limits.min_instances:
                    entry.pool.keep()

    def _sweep(self) -> None:
        now = self._loop.time()
        for _, function in self.versions.all():
            function.pool.evict_idle()
            function.pool.look_after(now - self._settings.freeze_seconds, function.allowance)
            if function.limits.min_instances:
                function.pool.keep()
        self._codes_lost.clear()
        if now - self._code_looked_at >= CODE_LOOK_S:
            self._code_looked_at = now
            self._in_background(self._look_at_code())
        self.instances.forget_ended()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
