"""One instance as its front holds it: frames out, frames in, and what each call comes to.

Rule 1: every call that was sent ends in exactly one of: its own frame, or CallLost.
Rule 2: the first frame that may not exist ends the instance; so does any frame that no call waits for.
Rule 3: nothing the cell does makes this process wait, grow without bound, or raise into the loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Callable

from supervisor.errors import PlatformError
from supervisor.front.invoke.pending_call import PreparedCall
from supervisor.front.logs.log_pipes import LogPipes
from supervisor.front.outcome import lost_calls, platform_lines
from supervisor.front.outcome.answers import function_headers
from supervisor.front.outcome.lost_calls import CallLate, CallLost, StartFailed, StartLate
from supervisor.front.pool import deadlines
from supervisor.front.pool.cell.inbox import Inbox
from supervisor.front.pool.cell.instance_identity import Identity
from supervisor.front.pool.cell.outbox import Outbox
from supervisor.front.pool.limits_met import WORDS, MetLimits
from supervisor.front.warden_link import Ending, Lease, WardenLink
from supervisor.link_records import Memory
from worker import wire

log = logging.getLogger("cellblock.front")

# From the end of a cell's pipe to the warden's word on how it ended; then it is killed.
ENDING_SECONDS = 1.0
DEAF = "its process closed its channel to the platform and went on"
JOIN_BODY_BYTES = 1 << 16


class Instance:
    """Owns the four pipe ends of a leased cell."""

    # A space's values that were sent once are still there at the next call.
    remembers_values = True

    def __init__(
        self,
        lease: Lease,
        warden: WardenLink,
        identity: Identity,
        on_free: Callable[[Instance, float], None],
        on_gone: Callable[[Instance, list[PreparedCall]], None],
    ) -> None:
        """``on_free(instance, seconds)`` follows each call that ended well.

        ``on_gone(instance, calls)`` follows the end, with the calls that it never began.
        """
        self.cell = lease.cell
        self.capacity, self.served = 1, 0
        self.last_used = self.ready_at = 0.0
        self.peak_bytes = 0
        self.is_frozen = self._is_hurried = False
        self.values_revision = -1
        self.init_s = self._ready_since = 0.0
        self.is_gone = self.is_retiring = self.is_async = False
        self.is_listed = False  # the pool's: among those with a free place
        # With ``fresh``: a call was answered and may have left something; why a cell can serve one call only.
        self.is_dirty = False
        self.whole = ""
        # The call that waits for its import, whose log is what that writes; None once that is over.
        self.import_call: str | None = ""
        self._warden = warden
        self._on_free = on_free
        self._on_gone = on_gone
        request_fd, reply_fd, stdout_fd, stderr_fd = lease.pipes[:4]
        self._outbox = Outbox(request_fd, self._expect_the_end)
        self._logs = LogPipes(stdout_fd, stderr_fd, identity.lines_of(lease.cell), self._whose)
        self._inbox = Inbox(
            reply_fd, identity.response_max_bytes, self._take, self.violated, self._expect_the_end
        )
        self.limits = MetLimits(
            self._logs.lines, identity.memory_mib, lambda: self._whose(0), self._make_way_soon
        )
        self._outstanding: dict[int, PreparedCall] = {}
        self._steps = deadlines.ladder(False, identity.grace_s)
        self._deadlines = deadlines.Deadlines(self._outstanding, lambda: self._steps, self._act)
        self._grace_s = identity.grace_s
        self._next_call = 1
        self._culprit: int | None = None
        self._ending: Ending | None = None
        self._eof_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[wire.Frame] = self._loop.create_future()
        self.over: asyncio.Future[Ending] = self._loop.create_future()

    # ---- starting ---------------------------------------------------------------------------

    async def start(self, init: bytes, within_s: float) -> wire.Frame:
        """Send INIT (already encoded) and wait for READY or CHECKED.  StartFailed, StartLate."""
        began = time.perf_counter()
        self._outbox.write(init)
        try:
            frame = await asyncio.wait_for(asyncio.shield(self._started), within_s)
        except TimeoutError:
            self._ask_for_the_stack()
            await asyncio.wait({self._started}, timeout=deadlines.DUMP_S)
            self.kill("timeout")
            self._logs.read_to_the_end()
            raise StartLate(self._logs.where(), within_s) from None
        if frame.kind == wire.FAILED:
            is_memory = frame.head[0] == wire.STAGE_MEMORY
            self.kill("memory" if is_memory else "released")
            raise StartFailed(None, await self.over) if is_memory else StartFailed(frame, None)
        self._check_started(frame)
        self._ready_since = time.perf_counter()
        self.init_s = self._ready_since - began
        if frame.kind == wire.READY:
            self._logs.lines.say("info", platform_lines.of_start(self.init_s, frame.head[1]))
        return frame

    def _check_started(self, frame: wire.Frame) -> None:
        if frame.kind == wire.READY and self._ending is not None:  # it has died or lied since it said so
            raise StartFailed(None, self._ending)

    def continue_from(self, memory: Memory) -> None:
        """A cell that another front had: it is READY already, and counts on."""
        self._next_call = memory.next_call
        self.served = memory.served
        self._started.set_result(wire.Frame(wire.READY, 0, (memory.is_async, 0, "", ""), (), b""))
        self._inbox.expect(self._outstanding)

    def serve(self, is_async: bool, capacity: int) -> None:
        """It is READY, for so many calls at once."""
        self.is_async, self.capacity = is_async, capacity
        self._steps = deadlines.ladder(is_async, self._grace_s)
        self.last_used = self._loop.time()
        self.ready_at = self.ready_at or self.last_used

    # ---- calls ------------------------------------------------------------------------------

    def send(self, call: PreparedCall) -> None:
        """Send one call; it ends with its frame or with CallLost."""
        if self._ending is not None:
            call.fail(CallLost(self._ending, False))
            return
        number = self._next_call
        # 0 belongs to no call; wrapping would take years, but a number must never be on twice.
        self._next_call = number + 1 if number < wire.CALL_MAX else 1
        data = call.numbered(number)
        if self.values_revision != call.values.revision:
            if self.remembers_values:
                self.values_revision = call.values.revision
            data = call.values.frame + data
        self._thaw()
        call.sent_at = time.perf_counter()
        call.instance = self
        self._outstanding[number] = call
        if len(call.body) <= JOIN_BODY_BYTES:
            self._outbox.write(data + call.body)
        else:
            self._outbox.write(data)
            self._outbox.write(call.body)
        # The cell wakes up meanwhile; whatever it says is heard in another turn of the loop.
        call.end_at = self._outbox.total
        self._logs.lines.begin_call(len(self._outstanding), number, call.call_id)
        if not self.served and call.queued_at < self._ready_since:
            call.init_s = min(self.init_s, call.sent_at - call.queued_at)  # it waited for that
        self._deadlines.begin(call)

    @property
    def is_ending(self) -> bool:
        """It is gone or on its way: nothing may be sent to it any more."""
        return self._ending is not None

    @property
    def load(self) -> int:
        """Calls that are running, or of which something may be left."""
        return len(self._outstanding) + self.is_dirty

    def hang_up(self, call: PreparedCall) -> None:
        """The call's caller is gone: it ends as one does whose time is up."""
        if call.step == 0 and not self.is_gone:
            call.why = wire.CALLER_IS_GONE
            self._deadlines.over(call)

    def _act(self, what: str, number: int, call: PreparedCall) -> None:
        """One step of ``deadlines.ladder``."""
        if what == deadlines.TELL:
            self._outbox.write(wire.encode(wire.CANCEL, number, (call.why,)))
        elif what == deadlines.LOOK:
            self._signal("look")
        elif what == deadlines.DUMP:
            self._ask_for_the_stack()
        elif what == deadlines.KILL:
            self._culprit = number
            self.kill("timeout" if call.why == wire.TIME_IS_UP else "cancelled")

    def _ask_for_the_stack(self) -> None:
        if self._logs.expect_a_stack():
            self._signal("dump")

    def _tell(self, tell: Callable[..., None], *what: object) -> None:
        try:
            tell(self.cell, *what)
        except PlatformError:
            log.warning("the warden is gone: cell %s ends with it", self.cell)

    def _signal(self, name: str) -> None:
        self._tell(self._warden.signal, name)

    def kill(self, cause: str) -> None:
        """End the cell; outstanding calls are lost when the warden confirms, or shortly after."""
        if self._ending is not None or self.is_gone:
            return
        self._ending = Ending(cause, 0, 0, "")
        self._tell(self._warden.kill, cause)
        self._expect_the_end()

    def leave(self, cause: str) -> None:
        """End it in order, idle as it is: its own code hears of that, and has LAST_SECONDS."""
        if self._is_hurried:
            self.kill(cause)
        if self._ending is not None or self.is_gone:
            return
        self._thaw()
        self._ending = Ending(cause, 0, 0, "")
        self._logs.lines.start_again()
        self._tell(self._warden.leave, cause)
        self._outbox.close()

    def hurry(self) -> bool:
        """Somebody waits for its cell: no time for last words.  False if it was told so before."""
        is_first, self._is_hurried = not self._is_hurried, True
        if is_first and self._ending is not None:
            self._tell(self._warden.kill, self._ending.cause)
        return is_first

    def _make_way_soon(self) -> None:
        """It has met a limit: it gets no other call; in its import, who waits for that still has its one."""
        if self.ready_at:
            self.is_retiring = True
            if not self.load:
                self.kill("recycled")

    def freeze(self) -> None:
        """Nothing of it runs until its next call: an idle instance takes no processor from others."""
        if self.is_idle and not self.is_ending and not self.is_frozen:
            self.is_frozen = True
            self._signal("freeze")

    def _thaw(self) -> None:
        if self.is_frozen:
            self.is_frozen = False
            self._signal("thaw")

    def give_back(self, is_async: bool) -> None:
        """Return the idle cell to the warden for another front."""
        self._thaw()
        self._logs.read_to_the_end()  # what a thread has begun that a call left behind
        pipes = [self._outbox.descriptor, self._inbox.descriptor, *self._logs.descriptors]
        self._ending = Ending("returned", 0, 0, "")
        self._tell(self._warden.give_back, Memory(int(is_async), self._next_call, self.served), pipes)
        self._close()

    @property
    def is_idle(self) -> bool:
        """No call is running, nothing is half sent or half received."""
        return self._outbox.is_empty and self._inbox.is_empty and not self.load

    # ---- bytes ------------------------------------------------------------------------------

    def _take(self, frame: wire.Frame) -> None:
        """One valid frame.  Safe if it lies: it can only end a call that is outstanding here."""
        if frame.call == 0:
            if self._started.done():
                raise wire.RemoteProtocolError("a second word on how it started")
            self._inbox.last()
            self._logs.read_for_answer(0, self.import_call or "", True)
            self.import_call = None
            self._started.set_result(frame)
            self._inbox.expect(self._outstanding)
            return
        call = self._outstanding.get(frame.call)
        if call is None or not self._started.done():
            raise wire.RemoteProtocolError("an answer that no call waits for")
        if frame.kind == wire.ANSWER:
            # Our worker checks these before it sends: whoever sends a bad one went round it.
            call.answer_headers = function_headers(frame.headers)
        elif frame.kind == wire.WHERE:
            self._stands(call, frame)
            return
        elif frame.kind == wire.MET:
            call.is_starved = frame.head[0] == wire.OUT_OF_MEMORY
            self.limits.heard(WORDS[frame.head[0]])
            return
        elif call.is_starved:
            call.where = call.where or (f"line {frame.head[2]}" if frame.head[2] else "")
            self.kill("memory")  # nobody caught it, and who needs how much is not to be told
            return
        else:
            call.remark = self.limits.remark
        if len(self._outstanding) == 1:
            self._inbox.last()
        # Lines written before the answer are this call's: read them before it is told, while it runs.
        self._logs.read_for_answer(frame.call, call.call_id, len(self._outstanding) == 1)
        del self._outstanding[frame.call]
        self.served += 1
        call.answered_at = time.perf_counter()
        self.last_used = self._loop.time()
        # The next call first: the cell is idle, the caller's answer still has work to be done.
        # How long it ran is its own word (the last field of each of these kinds): our clock would count
        # our own queue as well, and a cell that lies only mis-sizes the pool of its own function.
        usage = wire.KINDS[frame.kind].arity - 3
        exec_us, call.cpu_us, peak_kib = frame.head[usage : usage + 3]
        call.peak_bytes = self.peak_bytes = max(peak_kib << 10, self.limits.peak_bytes)
        self._finished(call, exec_us / 1e6)
        if call.step or (call.is_blocking and frame.kind == wire.RAISED):
            call.fail(CallLate(call.where, call.is_blocking and not call.step))
        else:
            call.finish(frame)

    def _finished(self, call: PreparedCall, seconds: float) -> None:
        """Answered, after so long: the cell is free for another call."""
        self._on_free(self, seconds)

    def _stands(self, call: PreparedCall, frame: wire.Frame) -> None:
        """Where a call's code stands: told once, by a call that is over or keeps one that is over waiting."""
        where, is_blocking = frame.head
        is_asked = any(other.step for other in self._outstanding.values()) if is_blocking else call.step
        if not is_asked or call.is_blocking or (call.where and not is_blocking):
            raise wire.RemoteProtocolError("WHERE that nobody asked for")
        call.where, call.is_blocking = where or call.where, bool(is_blocking)

    def violated(self, what: str) -> None:
        """The cell broke the protocol: it is killed, its calls get a 502."""
        log.warning("cell %s broke the protocol (%s): killing it", self.cell, what)
        self._end_as(Ending("protocol", 0, 0, what))

    def _end_as(self, ending: Ending, cause: str = "") -> None:
        """Kill it, for a ``cause`` if that is another, and tell its calls at once how it ended."""
        if self._ending is None:
            self._ending = ending
            self._tell(self._warden.kill, cause or ending.cause)
        self._end(self._ending)

    def _whose(self, number: int) -> str:
        """Whose a line is that names this call, if it runs; one that names none (0) is the only one's."""
        if not number and len(self._outstanding) == 1:
            return next(iter(self._outstanding.values())).call_id
        call = self._outstanding.get(number)
        if call is not None:
            return call.call_id
        return "" if number else self.import_call or ""

    # ---- the end ----------------------------------------------------------------------------

    def _expect_the_end(self) -> None:
        if self._eof_timer is None and not self.is_gone:
            # Whoever closes its ends and goes on has no clock of ours any more, and would keep its place.
            deaf = functools.partial(self._end_as, Ending("exited", 0, 0, DEAF), "hung up")
            self._eof_timer = self._loop.call_later(ENDING_SECONDS, deaf)

    def ended(self, ending: Ending) -> None:
        """The warden's word: the cell has been reaped."""
        if self._ending is None and not self.is_gone:
            self._inbox.read()  # what it said last may still be in its pipe
        # A protocol violation or a limit of ours is the cause; the signal was only its instrument.
        self._end(ending if self._ending is None else ending.caused_by(self._ending))

    def _end(self, ending: Ending) -> None:
        if self.is_gone:
            return
        self._ending = self._ending or ending
        self._logs.read_to_the_end()
        for number, call in self._outstanding.items():
            self._logs.lines.end_call(call.call_id, number, len(self._outstanding) == 1)
        self._logs.lines.end_call("")
        if ending.cause == "memory":
            self.limits.ran_out(ending.peak_bytes)
        if not self._started.done():
            self._started.set_exception(StartFailed(None, ending))
            self._started.exception()  # nobody may be waiting any more
        outstanding = dict(self._outstanding)
        self._outstanding.clear()  # it is shared with the deadlines
        unbegun = lost_calls.lose(
            outstanding, self._outbox.read_by_cell(), ending, self._culprit, self._logs.where()
        )
        self._close()
        self.over.set_result(ending)
        self._on_gone(self, unbegun)

    def _close(self) -> None:
        self.is_gone = True
        if self._eof_timer is not None:
            self._eof_timer.cancel()
        self._deadlines.stop()
        self._inbox.stop()  # whoever still knows this instance keeps no half answer alive
        self._logs.close()
        self._outbox.close()
        os.close(self._inbox.descriptor)
