"""The front's table of functions and values: what the hot path reads without a query.

An entry stays until the warden says that it changed; a change is acknowledged only after the entry
is gone, so no call that begins after a deploy was answered sees the version before it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable

from supervisor.bundles.bundle_store import BundleStore
from supervisor.bundles.imported_names import imports_of
from supervisor.front.functions.deployed_limits import limits_in_force
from supervisor.front.functions.public_functions import PublicNames
from supervisor.front.functions.single_flight import SingleFlight
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome import cors, refusals
from supervisor.front.pool import eviction, recycling
from supervisor.front.pool.cell.instance_identity import Identity
from supervisor.front.pool.eviction import Held
from supervisor.front.pool.instance import Instance
from supervisor.front.pool.lease_request import lease_request
from supervisor.front.pool.pool import SWEEP_SECONDS, Pool
from supervisor.front.telemetry.call_counters import Activity
from supervisor.front.warden_link import DRAINED, Ending, WardenLink
from supervisor.function_limits import LAST_SECONDS, MIB, Limits
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Deployment, Lookups
from worker import wire

log = logging.getLogger("cellblock.front")

Key = tuple[str, str]
# Names that do not exist are remembered too, or each anonymous call to one would cost a query.
UNKNOWN_MAX = 10_000
# An instance that has been idle so long is handed to another front that has a call for it and none.
SPARE_AFTER_S = 1.0
# A space's secrets and variables as one frame body; the API bounds what goes in.
VALUES_MAX_BYTES = 4 * MIB
# At the server's end: from the warden's kill of who is still leaving to its word on that.
FINISH_SLACK_S = 0.5


class Values:
    """A space's secrets and variables, ready to be sent; ``revision`` tells two of them apart."""

    def __init__(self, revision: int, secrets: dict[str, str], variables: dict[str, object]) -> None:
        self.revision = revision
        self.plain = {"secrets": secrets, "variables": variables}
        body = json.dumps(self.plain).encode()
        self.frame = wire.encode(wire.VALUES, 0, (), (), len(body)) + body

    def __repr__(self) -> str:
        return f"<Values revision {self.revision}>"  # secrets have no repr


class Function:
    """A function's active version with its limits, and the pool of its instances here."""

    def __init__(
        self,
        deployment: Deployment,
        imports: tuple[str, ...],
        limits: Limits,
        pool: Pool,
        allowance: recycling.Allowance,
    ) -> None:
        self.deployment = deployment
        self.imports = imports
        self.limits = limits
        self.pool = pool
        self.allowance = allowance
        self.cors = cors.of_option(limits.cors)
        self.request_max_bytes = limits.max_request * MIB


class Directory:
    """Looks up, remembers, forgets."""

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
        self.functions: dict[Key, Function] = {}
        self.activity = Activity(self.functions)
        self.values: dict[str, Values] = {}
        self.public = PublicNames()
        self._unknown: OrderedDict[Key, None] = OrderedDict()
        self._lookups = SingleFlight[Key]()
        self._value_loads = SingleFlight[str]()
        # Versions that were replaced and still finish calls: their cells' endings are ours to hear.
        self._retired: set[Pool] = set()
        self._others: set[Instance] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation: dict[Key, int] = {}
        self._value_generation: dict[str, int] = {}
        self._revision = 0
        self._is_leaving = False
        # Who else wants to know that a function was deleted.
        self.on_deleted: Callable[[str, str], None] = lambda space, name: None
        warden.on_changed = self.changed
        warden.on_reclaim = self._reclaim
        warden.on_spare = self._spare
        warden.on_ended = self._ended
        warden.on_met = self._met
        warden.on_survey = lambda space: self.activity.rows(space, self._loop.time())
        self._loop = asyncio.get_running_loop()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    # ---- functions --------------------------------------------------------------------------

    async def find(self, space: str, name: str) -> Function | None:
        """The function, from the table or the store; None when there is none."""
        key = (space, name)
        while True:
            if self._is_leaving:
                raise refusals.leaving()
            found = self.functions.get(key)
            if found is not None:
                return found
            if key in self._unknown:
                return None
            await self._lookups.of(key, lambda: self._look_up(key))

    async def _look_up(self, key: Key) -> None:
        generation = self._generation.get(key, 0)
        deployment, imports = await asyncio.to_thread(self._read, key)
        if generation != self._generation.get(key, 0):
            return  # it changed while it was read: who waits has it read again
        if deployment is None:
            self.public.found(key, False)
            self.activity.forget(*key)
            self._unknown[key] = None
            if len(self._unknown) > UNKNOWN_MAX:
                self._unknown.popitem(last=False)
            return
        self.functions[key] = function = self._function(deployment, imports)
        self.public.found(key, function.limits.public)

    def _read(self, key: Key) -> tuple[Deployment | None, tuple[str, ...]]:
        """Its active version and what that imports; blocks."""
        deployment = self._store.deployment(*key)
        return deployment, imports_of(self._bundles.path(deployment.digest)) if deployment else ()

    def _function(self, deployment: Deployment, imports: tuple[str, ...]) -> Function:
        settings = self._settings
        if self._recorder is not None:
            self._recorder.know(deployment.space, deployment.name)
        limits = limits_in_force(deployment.options, settings)
        runtime = self._runtime_of(deployment.template)
        identity = Identity(
            deployment.space,
            deployment.name,
            deployment.version,
            limits.log_bytes,
            limits.log_lines,
            limits.max_response * MIB,
            settings.function_logs,
            settings.grace_seconds,
            self._recorder,
            limits.memory,
        )

        async def encode_init() -> tuple[bytes, int]:
            values = await self.values_of(deployment.space)
            body = json.dumps(
                {**values.plain, "env": deployment.env, "text_content_type": settings.text_content_type}
            ).encode()
            head = (
                wire.WIRE_VERSION, "serve", deployment.space, deployment.name, deployment.version,
                limits.concurrency or 0, limits.max_response * MIB,
            )  # fmt: skip
            return wire.encode(wire.INIT, 0, head, (), len(body)) + body, values.revision

        pool = Pool(
            identity,
            limits,
            lease_request(
                deployment.space,
                deployment.name,
                deployment.version,
                deployment.digest,
                runtime,
                limits,
                imports,
            ),
            self._warden,
            encode_init,
            queue_seconds=settings.queue_seconds,
            queue_depth=settings.queue_depth,
            init_seconds=settings.init_seconds,
        )
        allowance = recycling.Allowance(settings.recycle_calls, settings.recycle_seconds)
        return Function(deployment, imports, limits, pool, allowance)

    def retune(self, settings: FrontSettings) -> None:
        """Other settings from now on: instances that were made with other limits make way for new ones."""
        before, self._settings = self._settings, settings
        for key, function in list(self.functions.items()):
            after = self._function(function.deployment, function.imports)
            is_same = (after.limits, after.pool.identity) == (function.limits, function.pool.identity)
            if not is_same or settings.text_content_type != before.text_content_type:
                self.changed(*key)
                continue
            function.allowance = after.allowance
            for name in ("queue_seconds", "queue_depth", "init_seconds"):
                setattr(function.pool, name, getattr(settings, name))
        self.begin_to_keep()

    def leave(self) -> None:
        """The server ends now: calls that wait are refused, those that run end with their instances."""
        self._is_leaving = True
        for function in self.functions.values():
            function.pool.retire()
            self._retired.add(function.pool)
        self.functions.clear()
        for pool in self._retired:
            for instance in list(pool.instances):
                instance.kill(DRAINED)

    async def finish(self) -> None:
        """Whatever has last words to say has its time for them."""
        self.leave()
        leaving = {instance.over for pool in self._retired for instance in pool.leaving}
        if leaving:
            await asyncio.wait(leaving, timeout=LAST_SECONDS + FINISH_SLACK_S)

    # ---- values -----------------------------------------------------------------------------

    async def values_of(self, space: str) -> Values:
        """The space's secrets and variables as the store has them now or had them at the last change."""
        while True:
            known = self.values.get(space)
            if known is not None:
                return known
            await self._value_loads.of(space, lambda: self._load_values(space))

    async def _load_values(self, space: str) -> None:
        generation = self._value_generation.get(space, 0)
        opened = await asyncio.to_thread(self._store.values, space)
        if generation == self._value_generation.get(space, 0):
            self._revision += 1
            self.values[space] = Values(self._revision, dict(opened.secrets), dict(opened.variables))

    # ---- changes ----------------------------------------------------------------------------

    def changed(self, space: str, name: str) -> None:
        """A function (or, with name "", the space's values) changed in the store."""
        if not name:
            self._value_generation[space] = self._value_generation.get(space, 0) + 1
            self.values.pop(space, None)
            return
        key = (space, name)
        self._generation[key] = self._generation.get(key, 0) + 1
        self.public.changed(key)
        self._unknown.pop(key, None)
        function = self.functions.pop(key, None)
        if function is not None:
            function.pool.retire()
            self._retired.add(function.pool)

        self._keep(self._loop.create_task(self._start_to_keep([key])))

    async def forget_logs(self, space: str, name: str) -> None:
        """The function was deleted: so is what it has logged, and calls that still run log nothing more."""
        self.on_deleted(space, name)
        if self._recorder is None:
            return
        await self._recorder.forget(space, name)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def begin_to_keep(self) -> None:
        """When the front starts, and when other functions may have to be kept."""
        self._keep(self._loop.create_task(self._keep_all()))

    async def _keep_all(self) -> None:
        """Know every function that keeps instances, which nobody has called yet, and every public one."""
        begun = self.public.begin()
        rows = await asyncio.to_thread(self._store.options)
        limits = {(row[0], row[1]): limits_in_force(dict(row[2]), self._settings) for row in rows}
        self.public.read(begun, (key for key, limit in limits.items() if limit.public))
        await self._start_to_keep([key for key, limit in limits.items() if limit.min_instances])

    async def _start_to_keep(self, keys: list[Key]) -> None:
        for key in keys:
            function = await self.find(*key)
            if function is None:
                await self.forget_logs(*key)
            elif function.limits.min_instances:
                function.pool.keep()

    def _reclaim(self, space: str, name: str, number: int) -> None:
        if name:
            function = self.functions.get((space, name))
            if function is not None:
                function.pool.reclaim()
            return
        held = [
            Held(
                key[0],
                each.last_used,
                is_idle=each.load == 0,
                is_making_way=each.is_retiring,
                is_kept=len(function.pool.instances) <= function.limits.min_instances,
                what=(function.pool, each),
            )
            for key, function in self.functions.items()
            for each in function.pool.serving
        ]
        for pool in self._all_pools():
            if pool.identity.space == (space or pool.identity.space):
                number -= pool.hurry(number)  # what is leaving has had more time than others will have
        for pool, instance in eviction.chosen(held, space, number):
            instance.hurry()
            pool.make_way(instance, "released")

    def _spare(self, space: str, name: str) -> bool:
        """Another front has a call for it and no instance: one that nobody here has used for a while."""
        function = self.functions.get((space, name))
        return function is not None and function.pool.hand_back_idle(self._loop.time() - SPARE_AFTER_S)

    def _all_pools(self) -> tuple[Pool, ...]:
        """Those of versions that were replaced too, while anything of them is left."""
        return (*(function.pool for function in self.functions.values()), *self._retired)

    def adopt(self, instance: Instance) -> None:
        """An instance of no pool whose end must reach it all the same."""
        self._others = {other for other in self._others if not other.is_gone} | {instance}

    def instance(self, cell: str) -> Instance | None:
        """The instance in a cell of ours."""
        for other in self._others:
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
            instance.limits.heard(what, peak_bytes)

    def _sweep(self) -> None:
        now = self._loop.time()
        for function in self.functions.values():
            limits = function.limits
            function.pool.drop_idle(now - limits.idle_seconds, keep=limits.min_instances)
            function.pool.look_after(now - self._settings.freeze_seconds, function.allowance)
            if limits.min_instances:
                function.pool.keep()
        self._retired = {pool for pool in self._retired if pool.instances or pool.leaving}
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
