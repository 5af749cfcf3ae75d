"""The errors that end a call without an answer of its function, each with the answer it causes."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeVar

from supervisor import signals
from supervisor.errors import PlatformError
from supervisor.front.outcome import answers
from supervisor.front.outcome.answers import Answer
from supervisor.front.warden_link import Ending
from supervisor.function_limits import MIB
from worker import wire

# A call that no cell has read moves to another instance this often; then it is lost with the last one.
MOVES_MOST = 3
# How a start ended of which nobody has said how.
_SILENT = Ending("exited", 0, 0, "")


class FailedCall(Protocol):
    """The call that an answer is for.  ``is_known``: its caller holds a credential of the space."""

    call_id: str
    timeout_s: float
    is_known: bool

    @property
    def memory_mib(self) -> int:
        """The memory limit of the function."""


class CallFailed(Exception):
    """The call gets no answer of its function."""

    def answer_to(self, call: FailedCall) -> Answer:
        """The answer that this error causes."""
        return answers.refused(self.refusal_of(call))

    def refusal_of(self, call: FailedCall) -> PlatformError:
        """The refusal that ``answer_to`` gives."""
        raise NotImplementedError


class CallLost(CallFailed):
    """The instance ended while the call ran.

    ``is_culprit``: this call or its limit caused the end; ``where`` is the place of its code, if known.
    """

    def __init__(self, ending: Ending, is_culprit: bool, where: str = "") -> None:
        super().__init__(ending.cause)
        self.ending = ending
        self.is_culprit = is_culprit
        self.where = where

    def refusal_of(self, call: FailedCall) -> PlatformError:
        """The platform's 503; 504 of the call whose time was up; 503 of its neighbours; else a 502."""
        ending = self.ending
        if (ours := ending.platform_error()) is not None:
            return ours
        if ending.cause == "timeout" and self.is_culprit:
            return _timeout(call, self.where, "the code was ended")
        if not self.is_culprit and ending.cause != "memory":  # the memory is that of all calls together
            return PlatformError(
                503,
                "the instance was ended because of another call that ran on it; try again",
                {"reason": "neighbour", "call_id": call.call_id},
                {"Retry-After": "0"},
            )
        return _instance_ended(call, "the function crashed", ending, self.where)


class CallLate(CallFailed):
    """The call ended past its limit, and its instance lives.  ``is_blocking``: the call held up others."""

    def __init__(self, where: str, is_blocking: bool) -> None:
        super().__init__("late")
        self.where = where
        self.is_blocking = is_blocking

    def refusal_of(self, call: FailedCall) -> PlatformError:
        """504."""
        if not self.is_blocking:
            return _timeout(call, self.where, "the call was ended")
        return PlatformError(
            504,
            f"the call kept the event loop from all other calls of its instance, at {self.where}; "
            "await what takes long, or make it run in a thread",
            {"reason": "blocking", "where": self.where, "call_id": call.call_id},
        )


class StartFailed(CallFailed):
    """The instance never got READY: ``failed`` is its FAILED frame, else ``ending`` says how it ended."""

    def __init__(self, failed: wire.Frame | None, ending: Ending | None) -> None:
        super().__init__("start failed")
        self.failed = failed
        self.ending = ending

    def answer_to(self, call: FailedCall) -> Answer:
        """500 where the module raised, 502 where it has no entry point; else how the cell ended."""
        if self.failed is None:
            return super().answer_to(call)
        stage, *exception = self.failed.head
        if stage == "import":
            return answers.raised(tuple(exception), call.call_id, call.is_known)
        return answers.broke_contract(exception[1], call.call_id, call.is_known)

    def refusal_of(self, call: FailedCall) -> PlatformError:
        """The platform's 503, or a 502."""
        ending = self.ending or _SILENT
        ours = ending.platform_error()
        return ours or _instance_ended(call, "the function's instance ended while it was starting", ending)

    def in_words(self) -> str:
        """Why there is no instance, for the function's owner."""
        if self.failed is not None:
            return answers.in_words(self.failed.head[1:])
        ending = self.ending or _SILENT
        return "it ran out of memory while it started" if ending.cause == "memory" else _how(ending)


class StartLate(CallFailed):
    """The import of the module took longer than ``limit_s``; ``where`` is the place it was at."""

    def __init__(self, where: str, limit_s: float) -> None:
        super().__init__("start late")
        self.where = where
        self.limit_s = limit_s

    def refusal_of(self, call: FailedCall) -> PlatformError:
        """504; the function's own limit had not begun."""
        at = f"; it was at {self.where}" if self.where else ""
        return PlatformError(
            504,
            f"the function's module was still being imported after {self.limit_s:g} s{at}; "
            "do less at import, or have the operator raise init_seconds",
            {"reason": "init", "limit_s": self.limit_s, "where": self.where, "call_id": call.call_id},
        )

    def in_words(self) -> str:
        """Why there is no instance, for the function's owner."""
        at = f", at {self.where}" if self.where else ""
        return f"its import took longer than {self.limit_s:g} s{at}"


class CircuitOpen(CallFailed):
    """The function's instances failed to start too often: no start is tried for ``retry_s`` seconds."""

    def __init__(self, failures: int, retry_s: float, last: StartFailed | StartLate) -> None:
        super().__init__("circuit open")
        self.failures = failures
        self.retry_s = retry_s
        self.last = last

    def refusal_of(self, call: FailedCall) -> PlatformError:
        """503; only a caller with a credential of the space learns why."""
        seconds = math.ceil(self.retry_s)
        why = self.last.in_words() if call.is_known else "its owner finds the reason in the log"
        return PlatformError(
            503,
            f"the function's instances failed to start {self.failures} times in a row, so none is tried for "
            f"{seconds} s; the last time: {why}; repair and deploy it, or try again then",
            {"reason": "circuit", "failures": self.failures, "call_id": call.call_id},
            {"Retry-After": str(seconds)},
        )


def _timeout(call: FailedCall, where: str, what: str) -> PlatformError:
    at = f" at {where}" if where else ""
    return PlatformError(
        504,
        f"the call's time was up: its limit is {call.timeout_s:g} s; {what}{at}",
        {"reason": "timeout", "limit_s": call.timeout_s, "where": where, "call_id": call.call_id},
    )


def _instance_ended(call: FailedCall, what: str, ending: Ending, where: str = "") -> PlatformError:
    """502 of an instance whose own code caused its end."""
    details: dict[str, Any] = {
        "reason": ending.cause if ending.cause in ("protocol", "memory") else "crashed",
        "signal": ending.signal, "exit_code": ending.code, "call_id": call.call_id,
    }  # fmt: skip
    if ending.peak_bytes:
        details["peak_bytes"] = ending.peak_bytes
    if ending.cause == "memory":
        limit_mib = details["limit_mib"] = call.memory_mib
        at = f" at {where}" if where else ""
        peak = f", it had {ending.peak_bytes / MIB:.0f} MiB at its peak" if ending.peak_bytes else ""
        how = f", {ending.reason}" if ending.reason else ""
        return PlatformError(
            502,
            f"{what}: it ran out of memory{at}; its limit is {limit_mib} MiB{peak}{how}; "
            "use less or raise it",
            details,
        )
    if where and ending.signal:
        details["where"] = where
        return PlatformError(502, f"{what}: {_how(ending)} at {where}", details)
    return PlatformError(502, f"{what}: {_how(ending)}", details)


def _how(ending: Ending) -> str:
    if ending.cause == "protocol":
        return f"it broke the protocol ({ending.reason})"
    if ending.signal:
        return f"it was ended by {signals.name_of(ending.signal)}"
    if ending.cause == "exited" and not ending.reason:
        return (
            f"its process exited with code {ending.code}; return an answer or raise, os._exit() ends it all"
        )
    return ending.reason or ending.cause


class SentCall(Protocol):
    """A call that was written to a cell's pipe; its last byte is number ``end_at`` of that pipe."""

    end_at: int
    moves: int
    peak_bytes: int
    where: str

    def fail(self, error: Exception) -> None:
        """End the call with an error."""


C = TypeVar("C", bound=SentCall)


def lose(outstanding: dict[int, C], read: int, ending: Ending, culprit: int | None, where: str) -> list[C]:
    """End the calls of an instance that has ended; return those that its cell has not fully read.

    ``read`` is how many bytes the cell has taken.  ``culprit`` is the number of the call that caused the end,
    if that is known, and ``where`` the place of its code.
    """
    unbegun = []
    sent = dict(outstanding)
    outstanding.clear()  # the deadlines hold the same dict
    for number, call in sent.items():
        # A call that was alone is the culprit; of several only the one whose limit it was.
        is_culprit = number == culprit or (culprit is None and len(sent) == 1)
        if call.end_at > read and number != culprit and call.moves < MOVES_MOST:
            call.moves += 1
            unbegun.append(call)
        else:
            call.peak_bytes = ending.peak_bytes
            call.fail(CallLost(ending, is_culprit, call.where or (where if is_culprit else "")))
    return unbegun
