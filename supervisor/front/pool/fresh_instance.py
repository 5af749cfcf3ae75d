"""An instance of a function with ``fresh``: each call runs in a process that has served no other.

Usually the cell forks such a process ahead of each call (``worker.fresh.fork_server``), and its pid 1 says
over a pipe of its own, the word pipe, when nothing of the last call is left.  Where the cell cannot do that,
it serves one call and ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from supervisor.front.outcome.lost_calls import StartLate
from supervisor.front.pool.cell.instance_identity import InstanceIdentity
from supervisor.front.pool.cell.outbox import bytes_in
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Ending, Lease, WardenLink
from worker import wire

log = logging.getLogger("cellblock.front")

WORD_BYTES = 64
# From an answer to pid 1's word that nothing of its call is left; usually a millisecond or two.
CLEAN_SECONDS = 2.0


class FreshInstance(Instance):
    """Owns the word pipe too."""

    # Each call's process starts from the fork server's state, which has no values of an earlier call.
    has_lasting_values = False

    def __init__(
        self,
        lease: Lease,
        warden: WardenLink,
        identity: InstanceIdentity,
        on_free: Callable[[Instance, float], None],
        on_gone: Callable[[Instance, list[PendingCall]], None],
    ) -> None:
        super().__init__(lease, warden, identity, on_free, on_gone)
        self._word_fd = lease.pipes[4]
        self._last = ("", 0.0)  # id and seconds of the last call
        self._timer: asyncio.TimerHandle | None = None
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._word_fd, self._read_word)

    async def start(self, init: bytes, within_s: float) -> wire.Frame:
        """As ``Instance.start``; waits for pid 1's first frame, too."""
        frame = await super().start(init, within_s)
        if frame.kind == wire.READY:
            try:
                await asyncio.wait_for(asyncio.shield(self._first), within_s)
            except TimeoutError:
                self.kill("timeout")
                raise StartLate("", within_s) from None
            self._check_started(frame)
        return frame

    def give_back(self, is_async: bool) -> None:
        """End the cell instead: it would cost another front more to take it over than to start a new one."""
        self.kill("released")
        self._end_as(Ending("released", 0, 0, ""))

    def _whose(self, number: int) -> str:
        # Between calls only the last call's process and what it left behind can write.
        return self._last[0] if self.is_dirty and not self._outstanding else super()._whose(number)

    def _finished(self, call: PendingCall, seconds: float) -> None:
        self._last = (call.call_id, seconds)
        self.peak_bytes = 0  # the memory was freed with the call's process: it is no reason to recycle
        if self.single_use_reason:
            self.is_retiring = True
            self._on_free(self, seconds)  # the pool ends it
        else:
            self.is_dirty = True
            why = f"what a call left was there after {CLEAN_SECONDS:g} s"
            self._timer = self._loop.call_later(CLEAN_SECONDS, self._make_way, why)

    def _read_word(self) -> None:
        try:
            words = os.read(self._word_fd, WORD_BYTES)
        except BlockingIOError:
            return
        if not words:
            # Pid 1 has ended, which the reply pipe tells too, or it has said that it cannot do this here.
            self._loop.remove_reader(self._word_fd)
        elif not self._first.done():
            unknown = "" if words == wire.CLEAN else "of an unknown word"
            self.single_use_reason = wire.ONE_CALL.get(words, unknown)
            self._first.set_result(None)
        elif words == wire.CLEAN:
            self._is_clean()
        else:
            self._make_way("pid 1 said more than there is to say")

    def _is_clean(self) -> None:
        """Every process of the last call is gone, so whatever is still in the pipes was the last call's."""
        while not self.is_gone and bytes_in(self._inbox.descriptor):
            self._inbox.read()
        if self.is_ending:
            return
        if self._outstanding or not self.is_dirty:
            self._end_as(Ending("exited", 0, 0, ""))
            return
        call_id, seconds = self._last
        self._logs.read_for_answer(0, call_id, True)
        self.is_dirty = False
        self._stop_the_clock()
        if self.is_idle and self._outbox.read_by_cell() == self._outbox.total:
            self._on_free(self, seconds)
        else:
            self._make_way("something was left in its pipes")

    def _make_way(self, why: str) -> None:
        log.info("cell %s makes way for a new one: %s", self.cell, why)
        self.is_retiring = True
        self.kill("recycled")

    def _stop_the_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        super()._close()
        self._stop_the_clock()
        self._loop.remove_reader(self._word_fd)
        os.close(self._word_fd)
        if not self._first.done():
            self._first.set_result(None)
