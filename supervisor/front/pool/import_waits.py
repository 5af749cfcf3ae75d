"""The imports of a pool: how long its calls have waited for one, and whose log each of them writes.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

# An import that takes longer is told to the warden: whoever waits at another front wants to know, well before
# its own patience ends.
TOLD_AFTER_S = 0.25
TOLD_AFTER_SHARE = 0.25
# For the end of an import that takes too long to be told to those who wait for it.
SLACK_S = 1.0


class Importing(Protocol):
    """An instance that imports; ``import_call`` is the id of the call whose log that is, or "".

    None once it has said how that ended, which a pool hears of some turns later.
    """

    import_call: str | None


class Waiting(Protocol):
    """A call that waits; ``imports_s`` was ``Imports.seconds`` when it began to."""

    call_id: str
    is_over: bool
    queued_at: float
    imports_s: float


class Imports:
    """Times are seconds on the clock of ``PendingCall.queued_at``."""

    def __init__(self) -> None:
        # Those that run here, and whether each was begun ahead of any call.
        self._running: dict[Importing, bool] = {}
        self._is_elsewhere = False
        self._since = self._before = 0.0

    def begin(self, instance: Importing, is_ahead: bool, now: float) -> None:
        """It imports from now on."""
        self._count(now)
        self._running[instance] = is_ahead

    def end(self, instance: Importing, now: float) -> None:
        """It does not any more."""
        self._count(now)
        del self._running[instance]

    def elsewhere(self, is_so: bool, now: float) -> None:
        """Whether the instances that there may be are other fronts', and one of them imports."""
        self._count(now)
        self._is_elsewhere = is_so

    def seconds(self, now: float) -> float:
        """For how long there has been an import to wait for, ever."""
        self._count(now)
        return self._before

    def may_wait(self, call: Waiting, now: float, queue_s: float, init_s: float) -> bool:
        """Whether a call goes on waiting: the time of an import does not count, up to that of the longest."""
        imported = min(init_s + SLACK_S, self.seconds(now) - call.imports_s)
        return now - call.queued_at < queue_s + imported

    def name(self, waiting: Iterable[Waiting], is_served: bool) -> None:
        """Let what each writes be the log of a call that waits for it: the first that has no other.

        One that was begun ahead is nobody's, unless ``is_served`` is false: then who waits does so for it.
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
        """Those that import here."""
        return list(self._running)

    def _count(self, now: float) -> None:
        if self._running or self._is_elsewhere:
            self._before += max(0.0, now - self._since)  # a call says when it was made, a moment ago
        self._since = max(now, self._since)
