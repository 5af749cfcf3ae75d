"""The alarm of the calls on one instance, and the steps against a call past its limit.

The call is cancelled first, and ends by itself where its code allows that.  Then the stack of its code is
written to the log.  Then its cell is killed.  The front keeps the clock: no code runs longer than its limit
and the operator's grace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from supervisor.front.pool.cell.pending_call import PendingCall

# An alarm that rings this much early counts as on time.
CLOCK_GRAIN_S = 0.002
# The stack dump comes this long before the kill: two messages and a signal, on a loaded machine.
DUMP_S = 0.1
# With a short grace, the dump gets at most this share of it.
DUMP_SHARE = 0.25

# The actions of a step: send CANCEL, signal the worker to read it, have the stack written, kill the cell.
TELL, LOOK, DUMP, KILL = "tell", "look", "dump", "kill"


class Step(NamedTuple):
    """The action ``what`` is due ``after_s`` seconds after the call's limit."""

    after_s: float
    what: str


def ladder(is_async: bool, grace_s: float) -> tuple[Step, ...]:
    """The steps from a call's limit to the end of its cell.

    A sync handler reads no frames while it runs.  So its worker gets a signal to read them, at the limit and
    once more later, in case the handler had not begun.  An event loop reads by itself.  A loop that has not
    done so by half of the grace is blocked, and gets the signal too.
    """
    dump_at = grace_s - min(DUMP_S, grace_s * DUMP_SHARE)
    at_once = () if is_async else (Step(0.0, LOOK),)
    return (Step(0.0, TELL), *at_once, Step(grace_s / 2, LOOK), Step(dump_at, DUMP), Step(grace_s, KILL))


class Deadlines:
    """One alarm for all calls of an instance, set for the earliest due time or earlier.

    An alarm per call would be set and cancelled thousands of times for each time that it rings.
    ``act(what, number, call)`` carries out a step.
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
        """Start the clock of a call that was just sent."""
        call.limit_at = call.until = self._loop.time() + call.timeout_s
        self._watch(call.until)

    def expire(self, call: PendingCall) -> None:
        """End the call's time now, whatever its limit is."""
        if call.step == 0:
            call.limit_at = call.until = self._loop.time()
            self._ring()

    def stop(self) -> None:
        """Cancel the alarm."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _watch(self, until: float) -> None:
        if self._alarm is None or self._alarm.when() > until:
            self.stop()
            self._alarm = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self.stop()
        # The loop's clock may be a little behind its own timers: uvloop counts milliseconds.
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
        if self._outstanding:  # with none, the next call sets the alarm again
            self._watch(min(call.until for call in self._outstanding.values()))
