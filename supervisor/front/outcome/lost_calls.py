"""What becomes of a call that gets no frame of its own."""

from __future__ import annotations

from supervisor.front.invoke.pending_call import PreparedCall
from supervisor.front.warden_link import Ending
from worker import wire

# A call that no cell has read is sent to another instance; to so many, then it is lost with the last.
MOVES_MOST = 3


class CallLost(Exception):
    """The instance ended under a call.

    ``is_culprit``: by this call's own doing or limit; ``where`` its code stood, as far as that is known.
    """

    def __init__(self, ending: Ending, is_culprit: bool, where: str = "") -> None:
        super().__init__(ending.cause)
        self.ending = ending
        self.is_culprit = is_culprit
        self.where = where


class CallLate(Exception):
    """The call ended after its time was up, and its instance lives; ``is_blocking``: it held up others."""

    def __init__(self, where: str, is_blocking: bool) -> None:
        super().__init__("late")
        self.where = where
        self.is_blocking = is_blocking


class StartFailed(Exception):
    """The instance never got READY: the FAILED frame's fields, or how it ended."""

    def __init__(self, failed: wire.Frame | None, ending: Ending | None) -> None:
        super().__init__("start failed")
        self.failed = failed
        self.ending = ending


class StartLate(Exception):
    """The module was still being imported when its time was up, ``limit_s``; ``where`` it stood."""

    def __init__(self, where: str, limit_s: float) -> None:
        super().__init__("start late")
        self.where = where
        self.limit_s = limit_s


class CircuitOpen(Exception):
    """The function's instances failed to start too often: none is tried for ``retry_s`` seconds."""

    def __init__(self, failures: int, retry_s: float, last: StartFailed | StartLate) -> None:
        super().__init__("circuit open")
        self.failures = failures
        self.retry_s = retry_s
        self.last = last


def lose(
    outstanding: dict[int, PreparedCall], read: int, ending: Ending, culprit: int | None, where: str
) -> list[PreparedCall]:
    """Every call that was sent ends here, but those that the cell has not read a whole of: they move.

    ``read`` is how many bytes the cell has taken; ``culprit`` the call that it ended for, if one is known,
    and ``where`` the place where its code stood.
    """
    unbegun = []
    sent = dict(outstanding)
    outstanding.clear()  # it is shared with the deadlines
    for number, call in sent.items():
        # One call alone is its own culprit; of several only the one whose limit it was.
        is_culprit = number == culprit or (culprit is None and len(sent) == 1)
        if call.end_at > read and number != culprit and call.moves < MOVES_MOST:
            call.moves += 1
            unbegun.append(call)
        else:
            call.peak_bytes = ending.peak_bytes
            call.fail(CallLost(ending, is_culprit, call.where or (where if is_culprit else "")))
    return unbegun
