"""The time of the calls on one instance: the alarm, and what is done as a call runs over its limit.

A call that is over is first told so, and ends itself where its code allows that; then its code's place
is asked for; then its cell is killed.  The clock is ours: whatever the code does, it does not do it
longer than its limit and the operator's grace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.front.pool.cell.pending_call import PendingCall

# An alarm that rings this much early has rung in time.
CLOCK_GRAIN_S = 0.002
# Before the end, for a stack to be written and read: two messages and a signal, on a loaded machine.
DUMP_S = 0.1
# Of a short grace no more than this share goes into that.
DUMP_SHARE = 0.25

# What is done with a call that is over.
TELL, LOOK, DUMP, KILL = "tell", "look", "dump", "kill"


@dataclass(frozen=True)
class Step:
    """``after_s`` seconds from the limit, ``what`` is done."""

    after_s: float
    what: str


def ladder(is_async: bool, grace_s: float) -> tuple[Step, ...]:
    """The steps from a call's limit to the end of its cell.

    An ordinary handler reads nothing while it runs: it is made to look at once, and once more in case it
    had not begun.  A loop that turns reads by itself: one that has not by half of the grace is kept from it.
    """
    dump_at = grace_s - min(DUMP_S, grace_s * DUMP_SHARE)
    at_once = () if is_async else (Step(0.0, LOOK),)
    return (Step(0.0, TELL), *at_once, Step(grace_s / 2, LOOK), Step(dump_at, DUMP), Step(grace_s, KILL))


class Deadlines:
    """One alarm for all calls, set for the earliest time or before it.

    One of its own for each call would be set and cancelled thousands of times for the one time that it
    rings.  ``act(what, number, call)`` does what a step says.
    """

    def __init__(
        self,
        outstanding: dict[int, PendingCall],
        steps: Callable[[], tuple[Step, ...]],
        act: Callable[[str, int, PendingCall], None],
    ) -> None:
        self._outstanding = outstanding
        self._steps = steps
        self._act = act
        self._alarm: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def begin(self, call: PendingCall) -> None:
        """It has been sent just now."""
        call.limit_at = call.until = self._loop.time() + call.timeout_s
        self._watch(call.until)

    def over(self, call: PendingCall) -> None:
        """Whatever its limit is: its time is up now."""
        if call.step == 0:
            call.limit_at = call.until = self._loop.time()
            self._ring()

    def stop(self) -> None:
        """The instance is gone."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _watch(self, until: float) -> None:
        if self._alarm is None or self._alarm.when() > until:
            self.stop()
            self._alarm = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self.stop()
        # The loop's clock may be a little behind its own timers (uvloop counts milliseconds).
        now = self._loop.time() + CLOCK_GRAIN_S
        steps = self._steps()
        for number, call in list(self._outstanding.items()):
            while call.until <= now and call.step < len(steps):
                what = steps[call.step].what
                call.step += 1
                call.until = call.limit_at + steps[min(call.step, len(steps) - 1)].after_s
                self._act(what, number, call)
                if what == KILL:
                    return
        if self._outstanding:  # else the next call sets it again
            self._watch(min(call.until for call in self._outstanding.values()))
