"""One leased cell as its front holds it: frames out, frames in, and the end of each call.

Rule 1: Every call that was sent ends in exactly one way: with its own frame, or with CallLost.
Rule 2: The first frame that may not exist ends the instance; so does any frame that no call waits for.
Rule 3: Nothing that the cell does makes this process wait, grow without bound, or raise into the loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Callable

from supervisor.errors import PlatformError
from supervisor.front.logs.log_pipes import LogPipes
from supervisor.front.outcome import lost_calls, platform_lines
from supervisor.front.outcome.answers import function_headers
from supervisor.front.outcome.lost_calls import CallLate, CallLost, StartFailed, StartLate
from supervisor.front.pool import deadlines
from supervisor.front.pool.cell.inbox import Inbox
from supervisor.front.pool.cell.instance_identity import InstanceIdentity
from supervisor.front.pool.cell.outbox import Outbox
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.limits_met import LIMITS_OF_WORDS, LimitsMet
from supervisor.front.warden_link import Ending, Lease, WardenLink
from supervisor.link_records import InstanceHistory
from worker import wire

log = logging.getLogger("cellblock.front")

# The warden's word on how a cell ended follows the end of its pipe within this time; else it is killed.
ENDING_SECONDS = 1.0
DEAF = "its process closed its channel to the platform and went on"
JOIN_BODY_BYTES = 1 << 16  # a body up to this size goes out in one write with its head


class Instance:
    """Owns the four pipe ends of a leased cell."""

    # A space's secrets and variables, once sent, are still there at the next call.
    has_lasting_values = True

    def __init__(
        self,
        lease: Lease,
        warden: WardenLink,
        identity: InstanceIdentity,
        on_free: Callable[[Instance, float], None],
        on_gone: Callable[[Instance, list[PendingCall]], None],
    ) -> None:
        """``on_free(instance, seconds)`` is called after each answer.

        ``on_gone(instance, calls)`` is called after the end, with the calls that the cell never began.
        """
        self.cell = lease.cell
        self.capacity, self.served = 1, 0
        self.last_used = self.ready_at = 0.0
        self.peak_bytes, self.values_revision = 0, -1
        self.is_frozen = self._is_hurried = False
        self.init_s = self._ready_since = 0.0
        self.is_gone = self.is_retiring = self.is_async = False
        self.is_listed = False  # the pool's: among those with room for a call
        # With ``fresh``: a call was answered and may have left something; why a cell serves one call only.
        self.is_dirty = False
        self.single_use_reason = ""
        self.import_call: str | None = ""  # see ``import_waits.Importing``
        self._warden, self._on_free, self._on_gone = warden, on_free, on_gone
        request_fd, reply_fd, stdout_fd, stderr_fd = lease.pipes[:4]
        self._outbox = Outbox(request_fd, self._expect_the_end)
        self._logs = LogPipes(stdout_fd, stderr_fd, identity.stamper_of(lease.cell), self._whose)
        self.masks = self._logs.lines.masks
        self._inbox = Inbox(
            reply_fd, identity.response_max_bytes, self._take, self.violated, self._expect_the_end
        )
        self.limits_met = LimitsMet(
            self._logs.lines, identity.memory_mib, lambda: self._whose(0), self._make_way_soon
        )
        self._outstanding: dict[int, PendingCall] = {}
        self._steps = deadlines.ladder(False, identity.grace_s)
        self._deadlines = deadlines.Deadlines(self._outstanding, lambda: self._steps, self._act)
        self._grace_s, self._next_call = identity.grace_s, 1
        self._culprit: int | None = None
        self._ending: Ending | None = None
        self._eof_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[wire.Frame] = self._loop.create_future()
        self.over: asyncio.Future[Ending] = self._loop.create_future()

    # ---- starting ---------------------------------------------------------------------------

    async def start(self, init: bytes, within_s: float) -> wire.Frame:
        """Send INIT, encoded, and wait for READY or CHECKED.  Raises StartFailed, StartLate."""
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
        if frame.kind == wire.READY and self._ending is not None:  # it died or broke the protocol since
            raise StartFailed(None, self._ending)

    def continue_from(self, history: InstanceHistory) -> None:
        """Take over a cell that another front had: it is READY already, and its call numbers go on."""
        self._next_call = history.next_call
        self.served = history.served
        self._started.set_result(wire.Frame(wire.READY, 0, (history.is_async, 0, "", ""), (), b""))
        self._inbox.expect(self._outstanding)

    def serve(self, is_async: bool, capacity: int) -> None:
        """Begin to serve, READY as it is, ``capacity`` calls at once."""
        self.is_async, self.capacity = is_async, capacity
        self._steps = deadlines.ladder(is_async, self._grace_s)
        self.last_used = self._loop.time()
        self.ready_at = self.ready_at or self.last_used

    # ---- calls ------------------------------------------------------------------------------

    def send(self, call: PendingCall) -> None:
        """Send a call; it ends with its frame or with CallLost."""
        if self._ending is not None:
            call.fail(CallLost(self._ending, False))
            return
        number = self._next_call
        # 0 belongs to no call.  Wrapping would take years, but no number may be in use twice.
        self._next_call = number + 1 if number < wire.CALL_MAX else 1
        data = call.numbered(number)
        if self.values_revision != call.values.revision:
            if self.has_lasting_values:
                self.values_revision = call.values.revision
            data = call.values.frame + data
            self.is_retiring |= self.masks.add(call.values.masker)
        self._thaw()
        call.sent_at = time.perf_counter()
        call.instance = self
        self._outstanding[number] = call
        if len(call.body) <= JOIN_BODY_BYTES:
            self._outbox.write(data + call.body)
        else:
            self._outbox.write(data)
            self._outbox.write(call.body)
        # The cell wakes up meanwhile; its answer is read in another turn of the loop.
        call.end_at = self._outbox.total
        self._logs.lines.begin_call(len(self._outstanding), number, call.call_id)
        if not self.served and call.queued_at < self._ready_since:
            call.init_s = min(self.init_s, call.sent_at - call.queued_at)  # it waited for the start
        self._deadlines.begin(call)

    @property
    def is_ending(self) -> bool:
        """Whether it is gone or about to be: nothing may be sent to it any more."""
        return self._ending is not None

    @property
    def load(self) -> int:
        """The calls that run, and with ``fresh`` one that may have left something."""
        return len(self._outstanding) + self.is_dirty

    def hang_up(self, call: PendingCall) -> None:
        """End a call whose caller is gone, in the way of one whose time is up."""
        if call.step == 0 and not self.is_gone:
            call.why = wire.CALLER_IS_GONE
            self._deadlines.expire(call)

    def _act(self, what: str, number: int, call: PendingCall) -> None:
        """Carry out a step of ``deadlines.ladder``."""
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
        """End the cell; outstanding calls are lost once the warden confirms, or ENDING_SECONDS later."""
        if self._ending is not None or self.is_gone:
            return
        self._ending = Ending(cause, 0, 0, "")
        self._tell(self._warden.kill, cause)
        self._expect_the_end()

    def leave(self, cause: str) -> None:
        """End the idle cell in order: its code is told, and gets LAST_SECONDS for its exit hooks."""
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
        """Kill it instead of letting it leave, now or later: its cell is needed.  False when asked again."""
        is_first, self._is_hurried = not self._is_hurried, True
        if is_first and self._ending is not None:
            self._tell(self._warden.kill, self._ending.cause)
        return is_first

    def _make_way_soon(self) -> None:
        """Take no more calls after a limit was met; if that was in the import, serve those that wait."""
        if self.ready_at:
            self.is_retiring = True
            if not self.load:
                self.kill("recycled")

    def freeze(self) -> None:
        """Stop all its processes until its next call, so that an idle instance takes no CPU from others."""
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
        self._logs.read_to_the_end()  # a thread of an earlier call may have begun a line
        history = InstanceHistory(int(is_async), self._next_call, self.served)
        pipes = [self._outbox.descriptor, self._inbox.descriptor, *self._logs.descriptors]
        self._ending = Ending("returned", 0, 0, "")
        self._tell(self._warden.give_back, history, pipes)
        self._close()

    @property
    def is_idle(self) -> bool:
        """Whether no call runs and nothing is half sent or half received."""
        return self._outbox.is_empty and self._inbox.is_empty and not self.load

    # ---- bytes ------------------------------------------------------------------------------

    def _take(self, frame: wire.Frame) -> None:
        """Take a valid frame.  A frame that lies can only end a call that is outstanding here."""
        if frame.kind != wire.ANSWER and self.masks.maskers:
            frame = self.masks.without_secrets(frame)
        if frame.call == 0:
            if self._started.done():
                raise wire.RemoteProtocolError("a second word on how it started")
            self._inbox.check_is_last()
            self._logs.read_for_answer(0, self.import_call or "", True)
            self.import_call = None
            self._started.set_result(frame)
            self._inbox.expect(self._outstanding)
            return
        call = self._outstanding.get(frame.call)
        if call is None or not self._started.done():
            raise wire.RemoteProtocolError("an answer that no call waits for")
        if frame.kind == wire.ANSWER:
            # Our worker checks the headers before it sends them: a bad one did not come from our worker.
            call.answer_headers = function_headers(frame.headers)
        elif frame.kind == wire.WHERE:
            self._take_where(call, frame)
            return
        elif frame.kind == wire.MET:
            call.is_starved = frame.head[0] == wire.OUT_OF_MEMORY
            self.limits_met.heard(LIMITS_OF_WORDS[frame.head[0]])
            return
        elif call.is_starved:
            call.where = call.where or (f"line {frame.head[2]}" if frame.head[2] else "")
            self.kill("memory")  # its handler did not catch the MemoryError
            return
        else:
            call.remark = self.limits_met.remark
        if len(self._outstanding) == 1:
            self._inbox.check_is_last()
        # Lines before the answer are this call's: read them while it counts as running.
        self._logs.read_for_answer(frame.call, call.call_id, len(self._outstanding) == 1)
        del self._outstanding[frame.call]
        self.served += 1
        call.answered_at = time.perf_counter()
        self.last_used = self._loop.time()
        # The next call goes out first: the cell is idle, and the caller's answer still costs us work.
        # The cell itself says how long the call ran: our clock would count our own queue too, and a cell
        # that lies only mis-sizes the pool of its own function.
        usage = wire.KINDS[frame.kind].arity - 3
        exec_us, call.cpu_us, peak_kib = frame.head[usage : usage + 3]
        call.peak_bytes = self.peak_bytes = max(peak_kib << 10, self.limits_met.peak_bytes)
        self._finished(call, exec_us / 1e6)
        if call.step or (call.is_blocking and frame.kind == wire.RAISED):
            call.fail(CallLate(call.where, call.is_blocking and not call.step))
        else:
            call.finish(frame)

    def _finished(self, call: PendingCall, seconds: float) -> None:
        """Offer the place of a call that was answered after ``seconds``."""
        self._on_free(self, seconds)

    def _take_where(self, call: PendingCall, frame: wire.Frame) -> None:
        """Take WHERE a late call's code stands, once a call: its own, or of a call that blocks the loop."""
        where, is_blocking = frame.head
        is_asked = any(other.step for other in self._outstanding.values()) if is_blocking else call.step
        if not is_asked or call.is_blocking or (call.where and not is_blocking):
            raise wire.RemoteProtocolError("WHERE that nobody asked for")
        call.where, call.is_blocking = where or call.where, bool(is_blocking)

    def violated(self, what: str) -> None:
        """Kill the cell, which broke the protocol; its calls get a 502."""
        log.warning("cell %s broke the protocol (%s): killing it", self.cell, what)
        self._end_as(Ending("protocol", 0, 0, what))

    def _end_as(self, ending: Ending, cause: str = "") -> None:
        """Kill it, and end its calls at once; ``cause`` is what the warden is told, if not the ending's."""
        if self._ending is None:
            self._ending = ending
            self._tell(self._warden.kill, cause or ending.cause)
        self._end(self._ending)

    def _whose(self, number: int) -> str:
        """The id of a running call by number; of 0 the only one that runs, or that waits for the import."""
        if not number and len(self._outstanding) == 1:
            return next(iter(self._outstanding.values())).call_id
        call = self._outstanding.get(number)
        if call is not None:
            return call.call_id
        return "" if number else self.import_call or ""

    # ---- the end ----------------------------------------------------------------------------

    def _expect_the_end(self) -> None:
        if self._eof_timer is None and not self.is_gone:
            # A process that closes its ends and goes on would keep its cell for ever.
            deaf = functools.partial(self._end_as, Ending("exited", 0, 0, DEAF), "hung up")
            self._eof_timer = self._loop.call_later(ENDING_SECONDS, deaf)

    def ended(self, ending: Ending) -> None:
        """Take the warden's word that the cell was reaped."""
        if self._ending is None and not self.is_gone:
            self._inbox.read()  # its last frames may still be in the pipe
        # If we ended it, our reason is the cause; the signal was only the means.
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
            self.limits_met.ran_out(ending.peak_bytes)
        if not self._started.done():
            self._started.set_exception(StartFailed(None, ending))
            self._started.exception()  # retrieved, as perhaps nobody waits for it
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
        self._inbox.stop()  # so that a reference to this instance keeps no half answer alive
        self._logs.close()
        self._outbox.close()
        os.close(self._inbox.descriptor)
