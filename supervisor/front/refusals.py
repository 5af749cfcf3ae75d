"""What a caller is told when its call got no answer of the function's: what, why, what to do.  Pure."""

from __future__ import annotations

import math
from typing import Any

from supervisor import signals
from supervisor.errors import PlatformError
from supervisor.front import answers
from supervisor.front.answers import Answer
from supervisor.front.lost import CallLate, CallLost, CircuitOpen, StartFailed, StartLate
from supervisor.front.warden_link import Ending
from supervisor.limits import MIB


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


def circuit(refused: CircuitOpen, call_id: str, is_known: bool) -> PlatformError:
    """503 of a function that is not tried for now; why is told to who holds a credential of the space."""
    last, seconds = refused.last, math.ceil(refused.retry_s)
    if not is_known:
        what = "its owner finds the reason in the log"
    elif isinstance(last, StartLate):
        what = f"its import took too long{f', at {last.where}' if last.where else ''}"
    elif last.failed is not None:
        _, exception_type, exception_info, line, _ = last.failed.head
        what = f"{exception_type} at line {line}: {exception_info}"
    else:
        what = _how(last.ending or Ending("exited", 0, 0, ""))
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
        return f"its process exited with code {ending.code}"
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
    return PlatformError(502, f"{what}: {_how(ending)}", details)


def queue_full(depth: int) -> PlatformError:
    """More calls wait for the function than may."""
    return PlatformError(
        429,
        f"the function's queue is full: {depth} calls are waiting; try again",
        {"reason": "queue", "queue_depth": depth},
        {"Retry-After": "1"},
    )
