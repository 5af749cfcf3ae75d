"""The instances of one version of one function that this front holds, and the calls that wait for one."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable

from supervisor.errors import PlatformError
from supervisor.front.invoke.pending_call import PreparedCall
from supervisor.front.outcome import refusals
from supervisor.front.outcome.lost_calls import StartFailed, StartLate
from supervisor.front.pool import growth, import_waits, recycling
from supervisor.front.pool.cell.instance_identity import Identity
from supervisor.front.pool.failed_starts import Failures
from supervisor.front.pool.fresh_instance import FreshInstance
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Ending, LeaseRefused, WardenLink
from supervisor.function_limits import ASYNC_CONCURRENCY, Limits
from supervisor.link_messages import LeaseRequest
from worker import wire

log = logging.getLogger("cellblock.front")

# All instances are another front's: ask again this often while calls wait.
ASK_AGAIN_S = 0.05
# A front keeps a busy instance this long when asked for it: two fronts hand the only one over in turns.
KEEP_WHEN_ASKED_S = 0.02
# How often idle instances are looked at; their time is in the order of minutes.
SWEEP_SECONDS = 1.0
# A moving average over about ten calls: follows a change, forgives one odd call.
TYPICAL_WEIGHT = 0.1


class Retired(Exception):
    """This version was replaced while the call waited: look the function up again."""


class Pool:
    """Leases, queues and lets go.  ``encode_init`` gives the INIT frame and its values' revision."""

    def __init__(
        self,
        identity: Identity,
        limits: Limits,
        request: LeaseRequest,
        warden: WardenLink,
        encode_init: Callable[[], Awaitable[tuple[bytes, int]]],
        *,
        queue_seconds: float,
        queue_depth: int,
        init_seconds: float,
    ) -> None:
        self.limits, self.identity = limits, identity
        # All that are leased, and those of them that have said READY.
        self.instances: set[Instance] = set()
        self._serving: set[Instance] = set()
        self.leaving: set[Instance] = set()  # in order: ours no more, but for the warden's word on their end
        self.is_retired = False
        self._request, self._warden, self._encode_init = request, warden, encode_init
        self.queue_seconds, self.queue_depth, self.init_seconds = queue_seconds, queue_depth, init_seconds
        self._free: list[Instance] = []
        self._waiting: deque[PreparedCall] = deque()
        self._typical_s = 0.0  # what a call of this version usually takes; 0.0 until one has ended
        self._starting: set[asyncio.Task[None]] = set()
        self._failures, self._imports = Failures(), import_waits.Imports()
        self._growth_timer: asyncio.TimerHandle | None = None
        self._is_asked_for = self._has_said_whole = False
        self._ask_again_at = 0.0
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """Calls that wait for an instance."""
        return len(self._waiting)

    # ---- for calls --------------------------------------------------------------------------

    def submit(self, call: PreparedCall) -> None:
        """Send the call to a free instance, or queue it; its ``on_end`` tells how it ended."""
        if self.is_retired:
            call.fail(Retired())
        elif not self._waiting and (instance := self._free_instance()) is not None:
            self._send(instance, call)
        elif len(self._waiting) >= self.queue_depth:
            call.fail(refusals.queue_full(self.queue_depth))
        elif not (self._serving or self._starting) and (refusal := self._failures.refusal(self._loop.time())):
            call.fail(refusal)
        else:
            call.imports_s = self._imports.seconds(call.queued_at)
            self._waiting.append(call)
            # No timer of its own: all wait equally long, so they expire in order, and _grow() looks
            # at the oldest every few milliseconds while anybody waits.
            self._grow()

    def hang_up(self, call: PreparedCall) -> None:
        """Its caller is gone: while it waits that is all, for nobody sends a call that is over."""
        if call.instance is not None:
            call.instance.hang_up(call)

    def _free_instance(self) -> Instance | None:
        """The most recently used one, whose pages are warm; those at their end are left out for good."""
        while self._free:
            if not self._free[-1].is_ending and not self._free[-1].is_retiring:
                return self._free[-1]
            self._list(self._free[-1], False)
        return None

    def _send(self, instance: Instance, call: PreparedCall) -> None:
        instance.send(call)
        self._list(instance, instance.load < instance.capacity)
        if self.limits.fresh:
            self._start_ahead()

    def _is_free(self, instance: Instance, seconds: float) -> None:
        """A call has ended after ``seconds``; its place goes to the first who waits."""
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
        """Among the free ones exactly while it has a place."""
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
        self._imports.name(self._waiting, bool(self._serving))
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
        """With ``fresh`` an instance that has served a call is not free at once: have others that are."""
        soon_free = len(self._free) + len(self._starting) + sum(other.is_dirty for other in self._serving)
        have = len(self.instances) + len(self._starting)
        if soon_free < growth.FRESH_AHEAD and have < self.limits.max_instances and not self.is_retired:
            self._start(self._request.replaced(mode="keep"))

    def keep(self) -> None:
        """Start what is missing of ``min_instances``, over all fronts: the warden counts them."""
        missing = self.limits.min_instances - len(self.instances) - len(self._starting)
        if missing > 0 and not self.is_retired and not self._failures.are_too_many(self._loop.time()):
            # One at a time: callers' own come first.
            least = self.limits.min_instances
            self._start(self._request.replaced(mode="keep", max_instances=least))

    async def _start_one(self, request: LeaseRequest) -> None:
        """Lease, INIT, READY; whatever goes wrong is told to those who wait for it."""
        began = self._loop.time()
        try:
            lease = await self._warden.lease(request)
        except LeaseRefused as refused:
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
        if self.is_retired:  # replaced while it was being leased: nobody waits for its import
            return instance.kill("released")
        try:
            if lease.memory:
                instance.continue_from(lease.memory)
                self._ready(instance, bool(lease.memory.is_async))
                return
            init, revision = await self._encode_init()
            frame = await self._import(instance, init, request.mode == "keep")
            if frame.kind != wire.READY:
                what = "it did not say READY"
                instance.violated(what)
                raise StartFailed(None, Ending("protocol", 0, 0, what))
            instance.values_revision = revision
            self._ready(instance, bool(frame.head[0]))
            self._warden.start(instance.cell, self.identity.whose, "ready")
        except (StartFailed, StartLate) as failure:
            self._has_failed(failure, instance, began)
            self._fail_waiting(failure)
        except PlatformError as error:
            instance.kill("released")
            self._fail_waiting(error)

    async def _import(self, instance: Instance, init: bytes, is_ahead: bool) -> wire.Frame:
        """Have it import the function; who waits for that may do so for all of ``init_seconds``."""
        told = (instance.cell, self.identity.whose)
        soon = min(import_waits.TOLD_AFTER_S, self.queue_seconds * import_waits.TOLD_AFTER_SHARE)
        slow = self._loop.call_later(soon, self._warden.start, *told, "importing")
        self._imports.begin(instance, is_ahead, time.perf_counter())
        self._imports.name(self._waiting, bool(self._serving))
        try:
            return await instance.start(init, self.init_seconds)
        finally:
            self._imports.end(instance, time.perf_counter())
            slow.cancel()

    def _has_failed(self, failure: StartFailed | StartLate, instance: Instance, began: float) -> None:
        """A start of the function's own fault."""
        ending = failure.ending if isinstance(failure, StartFailed) else None
        if self.is_retired or (ending is not None and ending.platform_error() is not None):
            return
        self._failures.count(failure, began, self._loop.time())
        if not self._serving:
            why = refusals.why_it_failed(failure)
            self._warden.start(instance.cell, self.identity.whose, "failed", why)

    def _ready(self, instance: Instance, is_async: bool) -> None:
        self._failures.forget()
        wanted = self.limits.concurrency or ASYNC_CONCURRENCY
        # A sync handler serves one call at a time.
        instance.serve(is_async, wanted if is_async and not self.limits.fresh else 1)
        if instance.whole and not self._has_said_whole:
            self._has_said_whole = True
            log.warning(
                "%s/%s: with fresh each call gets a whole new instance, which takes longer, because %s",
                self.identity.space, self.identity.function, instance.whole,
            )  # fmt: skip
        self._serving.add(instance)
        self._offer(instance)
        if instance.limits.met:  # its import did
            self.make_way(instance, "recycled")

    def _refused(self, refused: LeaseRefused) -> None:
        if refused.reason == "limit":
            self._imports.elsewhere(refused.is_importing, time.perf_counter())
            # Ours are busy, or all are another front's: whoever waits goes on waiting.
            self._ask_again_at = self._loop.time() + ASK_AGAIN_S
        else:
            self._fail_waiting(refusals.no_cell(refused.reason, refused.message))

    def _fail_waiting(self, error: Exception) -> None:
        """All who wait now wait for what just failed; those who come later get a new try."""
        if self._serving:
            return  # others serve: a start that failed is no answer to anybody
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.fail(error)

    # ---- letting go -------------------------------------------------------------------------

    def _gone(self, instance: Instance, unbegun: list[PreparedCall]) -> None:
        self.instances.discard(instance)
        self._serving.discard(instance)
        self.leaving.discard(instance)
        self._list(instance, False)
        # They have waited longest; and no code has seen them.
        for call in reversed(unbegun):
            if self.is_retired:
                call.fail(Retired())
            else:
                if not hasattr(call, "imports_s"):  # it never waited
                    call.imports_s = self._imports.seconds(time.perf_counter())
                self._waiting.appendleft(call)
        self._grow()

    def _hand_back(self, instance: Instance) -> None:
        self._is_asked_for = False
        self.instances.discard(instance)
        self._serving.discard(instance)
        self._list(instance, False)
        instance.give_back(instance.is_async)
        self._grow()

    def reclaim(self) -> None:
        """Another front waits for an instance of this version and may start none: hand one over."""
        if not self.hand_back_idle(math.inf):
            self._loop.call_later(KEEP_WHEN_ASKED_S, self._reclaim_now)

    def _reclaim_now(self) -> None:
        if not self.hand_back_idle(math.inf):
            self._is_asked_for = True  # the next that comes free, or that arrives

    def hand_back_idle(self, not_used_since: float) -> bool:
        """Return one to the warden that has been idle since then; False when there is none."""
        for instance in self._free:
            if instance.is_idle and instance.last_used <= not_used_since:
                self._hand_back(instance)
                return True
        return False

    @property
    def serving(self) -> list[Instance]:
        """Those that have said READY."""
        return list(self._serving)

    def drop_idle(self, not_used_since: float, keep: int = 0) -> int:
        """End instances idle since before ``not_used_since``, all but ``keep``; says how many."""
        dropped = 0
        for instance in sorted(self._free, key=lambda instance: instance.last_used):
            if len(self.instances) - dropped <= keep:
                break
            if instance.load == 0 and instance.last_used <= not_used_since:
                self.make_way(instance, "released")
                dropped += 1
        return dropped

    def make_way(self, instance: Instance, cause: str) -> None:
        """It takes no more calls, and ends with ``cause`` now or with its last one."""
        instance.is_retiring = True
        self._list(instance, False)
        if instance.load == 0:
            self._let_leave(instance, cause)

    def _let_leave(self, instance: Instance, cause: str) -> None:
        """It ends in order; whoever waits waits for another."""
        self.instances.discard(instance)
        self._serving.discard(instance)
        self._list(instance, False)
        self.leaving.add(instance)
        instance.leave(cause)
        self._grow()

    def hurry(self, most: int) -> int:
        """Of those that are leaving end so many now, at most; says how many."""
        hurried = 0
        for instance in self.leaving:
            if hurried < most and instance.hurry():
                hurried += 1
        return hurried

    def look_after(self, frozen_before: float, allowance: recycling.Allowance) -> None:
        """Freeze what has been idle since then; have those that have served long enough make way."""
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
        """Replaced or deleted: who waits looks again, what is idle ends, what is busy finishes first."""
        self.is_retired = True
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.fail(Retired())
        for instance in list(self._free):
            if instance.load == 0:
                self._let_leave(instance, "released")
        for instance in self.instances - self._serving:
            instance.kill("released")  # nobody waits for its import any more
