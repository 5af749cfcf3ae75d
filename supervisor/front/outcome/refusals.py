"""What a caller is told when its call got no answer of the function's: what, why, what to do.  Pure."""

from __future__ import annotations

import math
from typing import Any

from supervisor import signals
from supervisor.errors import PlatformError
from supervisor.front.outcome import answers
from supervisor.front.outcome.answers import Answer
from supervisor.front.outcome.lost_calls import CallLate, CallLost, CircuitOpen, StartFailed, StartLate
from supervisor.front.warden_link import Ending
from supervisor.function_limits import MIB


def too_slow(what: str) -> PlatformError:
    """408; ``what`` did not come in time."""
    return PlatformError(408, f"{what}; send it faster")


def too_large(most: int) -> PlatformError:
    """413; ``most`` bytes may come."""
    return PlatformError(
        413,
        f"the request's body is larger than {most} bytes, the function's max_request; send less or raise it",
        {"max_request_bytes": most},
    )


def no_place(waited_s: float, instances: int) -> PlatformError:
    """429 where so many instances serve, and stayed busy for so long; 503 where there is none."""
    waited = f"{waited_s:g} s"
    if instances:
        return PlatformError(
            429,
            f"all instances of the function stayed busy for {waited}; "
            "try again, or raise its max_instances or concurrency",
            {"reason": "concurrency", "instances": instances},
            {"Retry-After": "1"},
        )
    return PlatformError(
        503,
        f"no instance of the function was ready within {waited}; try again",
        {"reason": "capacity"},
        {"Retry-After": "2"},
    )


def start_failed(failed: StartFailed, memory_mib: int, call_id: str, is_known: bool) -> Answer:
    """Why there is no instance: the module raised, has no entry point, or its cell died."""
    if failed.failed is not None:
        stage, *exception = failed.failed.head
        if stage == "import":
            return answers.raised(tuple(exception), call_id, is_known)
        raise answers.broke_contract(exception[1], call_id, is_known)
    ending = failed.ending or Ending("exited", 0, 0, "")
    if (ours := ending.platform_error()) is not None:
        raise ours
    what = "the function's instance ended while it was starting"
    raise _ended(what, ending, memory_mib, call_id)


def import_late(late: StartLate, call_id: str) -> PlatformError:
    """504 of a call that waited for an import which took too long; the function's own limit had not begun."""
    at = f"; it was at {late.where}" if late.where else ""
    return PlatformError(
        504,
        f"the function's module was still being imported after {late.limit_s:g} s{at}; do less at import, or "
        "have the operator raise init_seconds",
        {"reason": "init", "limit_s": late.limit_s, "where": late.where, "call_id": call_id},
    )


def why_it_failed(failure: StartFailed | StartLate) -> str:
    """Why there is no instance, for who may know it."""
    if isinstance(failure, StartLate):
        at = f", at {failure.where}" if failure.where else ""
        return f"its import took longer than {failure.limit_s:g} s{at}"
    if failure.failed is None:
        ending = failure.ending or Ending("exited", 0, 0, "")
        return "it ran out of memory while it started" if ending.cause == "memory" else _how(ending)
    return answers.in_words(failure.failed.head[1:])


def no_cell(reason: str, message: str) -> PlatformError:
    """503: the warden gave none."""
    what = f"no instance can be started: {message}; try again"
    return PlatformError(503, what, {"reason": reason}, {"Retry-After": "2"})


def circuit(refused: CircuitOpen, call_id: str, is_known: bool) -> PlatformError:
    """503 of a function that is not tried for now; why is told to who holds a credential of the space."""
    seconds = math.ceil(refused.retry_s)
    what = why_it_failed(refused.last) if is_known else "its owner finds the reason in the log"
    return PlatformError(
        503,
        f"the function's instances failed to start {refused.failures} times in a row, so none is tried for "
        f"{seconds} s; the last time: {what}; repair and deploy it, or try again then",
        {"reason": "circuit", "failures": refused.failures, "call_id": call_id},
        {"Retry-After": str(seconds)},
    )


def _reason(ending: Ending) -> str:
    return ending.cause if ending.cause in ("protocol", "memory") else "crashed"


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


def leaving() -> PlatformError:
    """A call that had not begun when the server's time to drain was up."""
    return PlatformError(503, "the server is shutting down; try again", headers={"Retry-After": "2"})


def late(late: CallLate, limit_s: float, call_id: str) -> PlatformError:
    """The call was ended at its limit, or for keeping others waiting, and its instance goes on."""
    if not late.is_blocking:
        return _timeout(late.where, limit_s, call_id, "the call was ended")
    return PlatformError(
        504,
        f"the call kept the event loop from all other calls of its instance, at {late.where}; "
        "await what takes long, or make it run in a thread",
        {"reason": "blocking", "where": late.where, "call_id": call_id},
    )


def _timeout(where: str, limit_s: float, call_id: str, what: str) -> PlatformError:
    at = f" at {where}" if where else ""
    return PlatformError(
        504,
        f"the call's time was up: its limit is {limit_s:g} s; {what}{at}",
        {"reason": "timeout", "limit_s": limit_s, "where": where, "call_id": call_id},
    )


def lost(lost: CallLost, limit_s: float, memory_mib: int, call_id: str) -> PlatformError:
    """What a caller is told whose instance ended under its call."""
    ending = lost.ending
    if (ours := ending.platform_error()) is not None:
        return ours
    if ending.cause == "timeout" and lost.is_culprit:
        return _timeout(lost.where, limit_s, call_id, "the code was ended")
    if not lost.is_culprit and ending.cause != "memory":  # it is all of theirs together that did not fit
        return PlatformError(
            503,
            "the instance was ended because of another call that ran on it; try again",
            {"reason": "neighbour", "call_id": call_id},
            {"Retry-After": "0"},
        )
    return _ended("the function crashed", ending, memory_mib, call_id, lost.where)


def _ended(what: str, ending: Ending, memory_mib: int, call_id: str, where: str = "") -> PlatformError:
    """502 of an instance that ended by its own doing."""
    details: dict[str, Any] = {
        "reason": _reason(ending), "signal": ending.signal, "exit_code": ending.code, "call_id": call_id,
    }  # fmt: skip
    if ending.peak_bytes:
        details["peak_bytes"] = ending.peak_bytes
    if ending.cause == "memory":
        details["limit_mib"] = memory_mib
        at = f" at {where}" if where else ""
        peak = f", it had {ending.peak_bytes / MIB:.0f} MiB at its peak" if ending.peak_bytes else ""
        how = f", {ending.reason}" if ending.reason else ""
        return PlatformError(
            502,
            f"{what}: it ran out of memory{at}; its limit is {memory_mib} MiB{peak}{how}; "
            "use less or raise it",
            details,
        )
    if where and ending.signal:
        details["where"] = where
        return PlatformError(502, f"{what}: {_how(ending)} at {where}", details)
    return PlatformError(502, f"{what}: {_how(ending)}", details)


def queue_full(depth: int) -> PlatformError:
    """More calls wait for the function than may."""
    return PlatformError(
        429,
        f"the function's queue is full: {depth} calls are waiting; try again",
        {"reason": "queue", "queue_depth": depth},
        {"Retry-After": "1"},
    )
