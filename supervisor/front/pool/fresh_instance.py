"""An instance of a function with ``fresh``: each call has a process that has served no other.

Either its cell forks one for each call, ahead of it (``worker.fresh.fork_server``), and pid 1 says over a
pipe of its own when nothing of the last call is left; or the cell serves one call, and ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from supervisor.front.outcome.lost_calls import StartLate
from supervisor.front.pool.cell.instance_identity import Identity
from supervisor.front.pool.cell.outbox import bytes_in
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Ending, Lease, WardenLink
from worker import wire

log = logging.getLogger("cellblock.front")

WORD_BYTES = 64
# From an answer to pid 1's word that nothing is left of its call; a millisecond or two as a rule.
CLEAN_SECONDS = 2.0


class FreshInstance(Instance):
    """Owns the word pipe too."""

    # The process of the next call begins where that of the last one did.
    remembers_values = False

    def __init__(
        self,
        lease: Lease,
        warden: WardenLink,
        identity: Identity,
        on_free: Callable[[Instance, float], None],
        on_gone: Callable[[Instance, list[PendingCall]], None],
    ) -> None:
        super().__init__(lease, warden, identity, on_free, on_gone)
        self._word_fd = lease.pipes[4]
        self._last = ("", 0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._word_fd, self._word)

    async def start(self, init: bytes, within_s: float) -> wire.Frame:
        """As that of every instance; and pid 1's first word."""
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
        """It ends instead: another front's first words with it would cost more than a new one."""
        self.kill("released")
        self._end_as(Ending("released", 0, 0, ""))

    def _whose(self, number: int) -> str:
        # What comes after an answer is from its call's process or from what that left: no other is there.
        return self._last[0] if self.is_dirty and not self._outstanding else super()._whose(number)

    def _finished(self, call: PendingCall, seconds: float) -> None:
        self._last = (call.call_id, seconds)
        self.peak_bytes = 0  # its memory went with its process: no reason to recycle
        if self.whole:
            self.is_retiring = True
            self._on_free(self, seconds)  # to have it leave
        else:
            self.is_dirty = True
            why = f"what a call left was there after {CLEAN_SECONDS:g} s"
            self._timer = self._loop.call_later(CLEAN_SECONDS, self._make_way, why)

    def _word(self) -> None:
        try:
            words = os.read(self._word_fd, WORD_BYTES)
        except BlockingIOError:
            return
        if not words:
            # Pid 1 has ended, which the reply pipe tells too; or it has said that this is no place for it.
            self._loop.remove_reader(self._word_fd)
        elif not self._first.done():
            self.whole = wire.WHOLE.get(words, "" if words == wire.CLEAN else "of an unknown word")
            self._first.set_result(None)
        elif words == wire.CLEAN:
            self._is_clean()
        else:
            self._make_way("pid 1 said more than there is to say")

    def _is_clean(self) -> None:
        """Nobody lives who could write to us or read from us: what is in the pipes was the last call's."""
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
