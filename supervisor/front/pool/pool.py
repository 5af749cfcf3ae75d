"""The instances of one function version that this front holds, and the calls that wait for one."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable

from supervisor.errors import PlatformError
from supervisor.front.functions.space_values import EncodedValues
from supervisor.front.outcome import refusals
from supervisor.front.outcome.lost_calls import StartFailed, StartLate
from supervisor.front.pool import eviction, growth, import_waits, recycling
from supervisor.front.pool.cell.instance_identity import InstanceIdentity
from supervisor.front.pool.cell.pending_call import NOT_WAITED, PendingCall
from supervisor.front.pool.failed_starts import FailedStarts
from supervisor.front.pool.fresh_instance import FreshInstance
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Ending, LeaseRefused, WardenLink
from supervisor.function_limits import ASYNC_CONCURRENCY, Limits
from supervisor.link_messages import LeaseRequest
from worker import wire

log = logging.getLogger("cellblock.front")

# While calls wait and every instance is another front's, ask the warden again this often.
ASK_AGAIN_S = 0.05
# A front that is asked for a busy instance keeps it this long, so that two fronts can share one in turns.
KEEP_WHEN_ASKED_S = 0.02
# How often idle instances are looked at; they are kept for minutes.
SWEEP_SECONDS = 1.0
# A moving average over about ten calls follows a change and forgives one odd call.
TYPICAL_WEIGHT = 0.1


class Retired(Exception):
    """The version was replaced while the call waited: the function has to be looked up again."""


class Pool:
    """``values_of`` gives the function's secrets and variables, ``encode_init`` the INIT frame with them."""

    def __init__(
        self,
        identity: InstanceIdentity,
        limits: Limits,
        request: LeaseRequest,
        warden: WardenLink,
        values_of: Callable[[], Awaitable[EncodedValues]],
        encode_init: Callable[[EncodedValues], bytes],
        *,
        queue_seconds: float,
        queue_depth: int,
        init_seconds: float,
    ) -> None:
        self.limits, self.identity = limits, identity
        self.instances: set[Instance] = set()  # all that are leased
        self._serving: set[Instance] = set()  # those of them that have said READY
        self.leaving: set[Instance] = set()  # told to end; the warden's word that they did is to come
        self.is_retired = False
        self._request, self._warden = request, warden
        self._values_of, self._encode_init = values_of, encode_init
        self.queue_seconds, self.queue_depth, self.init_seconds = queue_seconds, queue_depth, init_seconds
        self._free: list[Instance] = []
        self._waiting: deque[PendingCall] = deque()
        self._typical_s = 0.0  # what a call of this version usually takes; 0.0 until one has ended
        self._starting: set[asyncio.Task[None]] = set()
        self._failed_starts, self._imports = FailedStarts(), import_waits.ImportWaits()
        self._growth_timer: asyncio.TimerHandle | None = None
        self._is_asked_for = self._has_said_single_use = False
        self._ask_again_at = 0.0
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """How many calls wait for an instance."""
        return len(self._waiting)

    # ---- for calls --------------------------------------------------------------------------

    def submit(self, call: PendingCall) -> None:
        """Send the call to a free instance, or queue it; its ``ended`` is called at its end."""
        if self.is_retired:
            call.fail(Retired())
        elif not self._waiting and (instance := self._free_instance()) is not None:
            self._send(instance, call)
        elif len(self._waiting) >= self.queue_depth:
            call.fail(refusals.queue_full(self.queue_depth))
        elif not (self._serving or self._starting) and (
            refusal := self._failed_starts.refusal(self._loop.time())
        ):
            call.fail(refusal)
        else:
            call.imports_s = self._imports.seconds(call.queued_at)
            self._waiting.append(call)
            # No timer per call: all wait equally long, and _grow() looks at the oldest every few ms.
            self._grow()

    def hang_up(self, call: PendingCall) -> None:
        """The call's caller is gone.  A call that waits is over already, and will not be sent."""
        if call.instance is not None:
            call.instance.hang_up(call)

    def _free_instance(self) -> Instance | None:
        """The most recently used one, whose pages are warm; instances that end are dropped from the list."""
        while self._free:
            if not self._free[-1].is_ending and not self._free[-1].is_retiring:
                return self._free[-1]
            self._list(self._free[-1], False)
        return None

    def _send(self, instance: Instance, call: PendingCall) -> None:
        instance.send(call)
        self._list(instance, instance.load < instance.capacity)
        if self.limits.fresh:
            self._start_ahead()

    def _is_free(self, instance: Instance, seconds: float) -> None:
        """Give the place of a call that ended after ``seconds`` to the first call that waits."""
        self._typical_s += (seconds - self._typical_s) * TYPICAL_WEIGHT if self._typical_s else seconds
        self._offer(instance)

    def _offer(self, instance: Instance) -> None:
        if instance.is_ending:
            return
        if self.is_retired or instance.is_retiring:
            self._list(instance, False)
            if instance.load == 0:
                self._let_leave(instance, "released")
            return
        if self._is_asked_for and instance.is_idle:
            self._hand_back(instance)
            return
        while self._waiting and instance.load < instance.capacity:
            call = self._waiting.popleft()
            if not call.is_over:
                instance.send(call)
                if self.limits.fresh:
                    self._start_ahead()
        self._list(instance, instance.load < instance.capacity)

    def _list(self, instance: Instance, has_place: bool) -> None:
        """Keep the instance among the free ones exactly while it has room for a call."""
        if has_place and not instance.is_listed:
            self._free.append(instance)
        elif not has_place and instance.is_listed:
            self._free.remove(instance)
        instance.is_listed = has_place

    # ---- growing ----------------------------------------------------------------------------

    def _grow(self) -> None:
        now = time.perf_counter()
        while self._waiting:
            oldest = self._waiting[0]
            if not oldest.is_over:
                if self._imports.may_wait(oldest, now, self.queue_seconds, self.init_seconds):
                    break
                oldest.fail(refusals.no_place(self.queue_seconds, len(self._serving)))
            self._waiting.popleft()
        if not self._waiting or self.is_retired:
            return
        self._imports.assign(self._waiting, bool(self._serving))
        snapshot = growth.Snapshot(
            len(self._waiting),
            now - self._waiting[0].queued_at,
            self._typical_s,
            len(self._serving),
            len(self._starting),
            self.limits.max_instances,
        )
        if self._loop.time() >= self._ask_again_at:
            for _ in range(growth.to_start(snapshot)):
                self._start(self._request)
        if self._growth_timer is None:
            self._growth_timer = self._loop.call_later(growth.GROW_AFTER_S, self._grow_later)

    def _grow_later(self) -> None:
        self._growth_timer = None
        self._grow()

    def _start(self, request: LeaseRequest) -> None:
        task = self._loop.create_task(self._start_one(request))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _start_ahead(self) -> None:
        """With ``fresh``, start instances ahead: one that has served a call is not free at once."""
        soon_free = len(self._free) + len(self._starting) + sum(other.is_dirty for other in self._serving)
        have = len(self.instances) + len(self._starting)
        if soon_free < growth.FRESH_AHEAD and have < self.limits.max_instances and not self.is_retired:
            self._start(self._request.replaced(mode="keep"))

    def keep(self) -> None:
        """Start what is missing of ``min_instances``, which the warden counts over all fronts."""
        missing = self.limits.min_instances - len(self.instances) - len(self._starting)
        if missing > 0 and not self.is_retired and not self._failed_starts.is_circuit_open(self._loop.time()):
            # One at a time: instances that callers wait for come first.
            least = self.limits.min_instances
            self._start(self._request.replaced(mode="keep", max_instances=least))

    async def _start_one(self, request: LeaseRequest) -> None:
        """Lease, INIT, READY; a failure goes to the calls that wait."""
        began = self._loop.time()
        try:
            lease = await self._warden.lease(request)
        except LeaseRefused as refused:
            if refused.reason == "code" and self._warden.on_code_lost(*self.identity.whose[:2]):
                return  # this pool is retired now
            if request.mode != "keep":
                self._refused(refused)
            return
        except PlatformError as error:
            self._fail_waiting(error)
            return
        self._imports.elsewhere(False, time.perf_counter())
        made = FreshInstance if self.limits.fresh else Instance
        instance = made(lease, self._warden, self.identity, self._is_free, self._gone)
        self.instances.add(instance)
        if self.is_retired:  # replaced while it was being leased
            return instance.kill("released")
        try:
            values = await self._values_of()
            instance.masks.add(values.masker)  # before its code writes a line
            if lease.memory:
                instance.continue_from(lease.memory)
                self._ready(instance, bool(lease.memory.is_async))
                return
            frame = await self._import(instance, self._encode_init(values), request.mode == "keep")
            if frame.kind != wire.READY:
                what = "it did not say READY"
                instance.violated(what)
                raise StartFailed(None, Ending("protocol", 0, 0, what))
            instance.values_revision = values.revision
            self._ready(instance, bool(frame.head[0]))
            self._warden.start(instance.cell, self.identity.whose, "ready")
        except (StartFailed, StartLate) as failure:
            self._has_failed(failure, instance, began)
            self._fail_waiting(failure)
        except PlatformError as error:
            instance.kill("released")
            self._fail_waiting(error)

    async def _import(self, instance: Instance, init: bytes, is_ahead: bool) -> wire.Frame:
        """Have the instance import the function; calls that wait may do so for all of ``init_seconds``."""
        told = (instance.cell, self.identity.whose)
        soon = min(import_waits.TOLD_AFTER_S, self.queue_seconds * import_waits.TOLD_AFTER_SHARE)
        slow = self._loop.call_later(soon, self._warden.start, *told, "importing")
        self._imports.begin(instance, is_ahead, time.perf_counter())
        self._imports.assign(self._waiting, bool(self._serving))
        try:
            return await instance.start(init, self.init_seconds)
        finally:
            self._imports.end(instance, time.perf_counter())
            slow.cancel()

    def _has_failed(self, failure: StartFailed | StartLate, instance: Instance, began: float) -> None:
        """Count a start that failed by the function's own fault."""
        ending = failure.ending if isinstance(failure, StartFailed) else None
        if self.is_retired or (ending is not None and ending.platform_error() is not None):
            return
        self._failed_starts.count(failure, began, self._loop.time())
        if not self._serving:
            self._warden.start(instance.cell, self.identity.whose, "failed", failure.in_words())

    def _ready(self, instance: Instance, is_async: bool) -> None:
        self._failed_starts.reset()
        wanted = self.limits.concurrency or ASYNC_CONCURRENCY
        # A sync handler serves one call at a time.
        instance.serve(is_async, wanted if is_async and not self.limits.fresh else 1)
        if instance.single_use_reason and not self._has_said_single_use:
            self._has_said_single_use = True
            log.warning(
                "%s/%s: with fresh each call gets a whole new instance, which takes longer, because %s",
                self.identity.space, self.identity.function, instance.single_use_reason,
            )  # fmt: skip
        self._serving.add(instance)
        self._offer(instance)
        if instance.limits_met.met:  # in its import
            self.make_way(instance, "recycled")

    def _refused(self, refused: LeaseRefused) -> None:
        if refused.reason == "limit":
            self._imports.elsewhere(refused.is_importing, time.perf_counter())
            # Ours are busy, or all are another front's: the calls go on waiting.
            self._ask_again_at = self._loop.time() + ASK_AGAIN_S
        else:
            self._fail_waiting(refused)

    def _fail_waiting(self, error: Exception) -> None:
        """Fail the calls that wait, for they wait for what just failed; later calls get a new try."""
        if not self._serving:  # else other instances serve these calls
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.fail(error)

    # ---- letting go -------------------------------------------------------------------------

    def _gone(self, instance: Instance, unbegun: list[PendingCall]) -> None:
        self._drop(instance)
        self.leaving.discard(instance)
        # The calls that no code has seen have waited longest.
        for call in reversed(unbegun):
            if self.is_retired:
                call.fail(Retired())
            else:
                if call.imports_s == NOT_WAITED:
                    call.imports_s = self._imports.seconds(time.perf_counter())
                self._waiting.appendleft(call)
        self._grow()

    def _drop(self, instance: Instance) -> None:
        self.instances.discard(instance)
        self._serving.discard(instance)
        self._list(instance, False)

    def _hand_back(self, instance: Instance) -> None:
        self._is_asked_for = False
        self._drop(instance)
        instance.give_back(instance.is_async)
        self._grow()

    def reclaim(self) -> None:
        """Hand an instance over: another front waits for one of this version and may start none."""
        if not self.hand_back_idle(math.inf):
            self._loop.call_later(KEEP_WHEN_ASKED_S, self._reclaim_now)

    def _reclaim_now(self) -> None:
        if not self.hand_back_idle(math.inf):
            self._is_asked_for = True  # the next instance that comes free goes

    def hand_back_idle(self, not_used_since: float) -> bool:
        """Return one instance to the warden that was idle since then; False when there is none."""
        for instance in self._free:
            if instance.is_idle and instance.last_used <= not_used_since:
                self._hand_back(instance)
                return True
        return False

    @property
    def serving(self) -> list[Instance]:
        """The instances that have said READY."""
        return list(self._serving)

    def evict_idle(self) -> None:
        """End the instances that have been idle for longer than ``idle_seconds``."""
        not_used_since = self._loop.time() - self.limits.idle_seconds
        most = len(self.instances) - self.limits.min_instances
        for instance in eviction.idle_too_long(self._free, not_used_since, most):
            self.make_way(instance, "released")

    def make_way(self, instance: Instance, cause: str) -> None:
        """Send the instance no more calls, and end it for ``cause``: now, or after its last call."""
        instance.is_retiring = True
        self._list(instance, False)
        if instance.load == 0:
            self._let_leave(instance, cause)

    def _let_leave(self, instance: Instance, cause: str) -> None:
        """End the idle instance in order; calls that wait get another."""
        self._drop(instance)
        self.leaving.add(instance)
        instance.leave(cause)
        self._grow()

    def hurry(self, most: int) -> int:
        """Kill at most ``most`` of the instances that leave; returns how many it killed."""
        hurried = 0
        for instance in self.leaving:
            if hurried < most and instance.hurry():
                hurried += 1
        return hurried

    def look_after(self, frozen_before: float, allowance: recycling.Allowance) -> None:
        """Freeze instances idle since ``frozen_before``; recycle those that have served long enough."""
        now = self._loop.time()
        for instance in list(self._serving):
            life = recycling.Life(instance.served, now - instance.ready_at)
            why = recycling.reason_to_recycle(life, allowance)
            if why and not instance.is_retiring:
                log.info("cell %s makes way for a new one: %s", instance.cell, why)
                self.make_way(instance, "recycled")
            elif instance.last_used <= frozen_before:
                instance.freeze()

    def retire(self) -> None:
        """Replaced or deleted: fail waiting calls with Retired, end idle instances, let busy ones finish."""
        self.is_retired = True
        self._fail_all(Retired())
        for instance in list(self._free):
            if instance.load == 0:
                self._let_leave(instance, "released")
        for instance in self.instances - self._serving:
            instance.kill("released")  # no call waits for its import
