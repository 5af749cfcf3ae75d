"""How long a pool's calls have waited for an import, and which call's log an import writes to.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

# The warden is told of an import that takes longer: calls that wait at other fronts must learn of it well
# before their own time in the queue ends.
TOLD_AFTER_S = 0.25
TOLD_AFTER_SHARE = 0.25
# An import that takes too long ends at its limit; its waiting calls are told within this time after it.
SLACK_S = 1.0


class Importing(Protocol):
    """An instance that imports.

    ``import_call`` is the id of the call to whose log the import writes, "" while there is none, and None
    once the import has ended; the pool hears of that end some turns of the loop later.
    """

    import_call: str | None


class Waiting(Protocol):
    """A call that waits; ``imports_s`` is what ``ImportWaits.seconds`` was when the call began to wait."""

    call_id: str
    is_over: bool
    queued_at: float
    imports_s: float


class ImportWaits:
    """The imports of one pool; times are seconds on the clock of ``PendingCall.queued_at``."""

    def __init__(self) -> None:
        # Imports in this front, and whether each was begun ahead of any call.
        self._running: dict[Importing, bool] = {}
        self._is_elsewhere = False
        self._since = self._before = 0.0

    def begin(self, instance: Importing, is_ahead: bool, now: float) -> None:
        """The instance imports from now on."""
        self._count(now)
        self._running[instance] = is_ahead

    def end(self, instance: Importing, now: float) -> None:
        """The instance's import has ended."""
        self._count(now)
        del self._running[instance]

    def elsewhere(self, is_importing: bool, now: float) -> None:
        """Note whether other fronts have every instance that may exist and one of these imports."""
        self._count(now)
        self._is_elsewhere = is_importing

    def seconds(self, now: float) -> float:
        """For how many seconds, since the pool was made, an import was under way."""
        self._count(now)
        return self._before

    def may_wait(self, call: Waiting, now: float, queue_s: float, init_s: float) -> bool:
        """Whether a call may go on waiting.  Import time does not count, up to that of the longest import."""
        imported = min(init_s + SLACK_S, self.seconds(now) - call.imports_s)
        return now - call.queued_at < queue_s + imported

    def assign(self, waiting: Iterable[Waiting], is_served: bool) -> None:
        """Assign each import the first waiting call that has no import yet: it writes to that call's log.

        An import that was begun ahead of any call gets one only while no instance serves (``is_served`` is
        false), for only then do the waiting calls wait for it.
        """
        if all(one.import_call != "" for one in self._running):
            return
        taken = Counter(one.import_call for one in self._running)
        free = [call.call_id for call in islice(waiting, 2 * len(self._running)) if not call.is_over]
        for one, is_ahead in self._running.items():
            if one.import_call == "" and not (is_ahead and is_served):
                one.import_call = next((call_id for call_id in free if not taken[call_id]), "")
                taken[one.import_call] += 1

    @property
    def running(self) -> list[Importing]:
        """The instances of this pool that import now."""
        return list(self._running)

    def _count(self, now: float) -> None:
        if self._running or self._is_elsewhere:
            # ``now`` may be a call's ``queued_at``, which is a moment ago.
            self._before += max(0.0, now - self._since)
        self._since = max(now, self._since)
