"""The platform's refusals of a call: what happened, why, and what the caller can do.  Pure.

The answers of calls whose instance failed are in ``lost_calls``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor.errors import PlatformError, shown
from supervisor.near_names import hint

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def not_a_method(method: str) -> PlatformError:
    """405; the same whether the function exists or not."""
    hint = "; a browser's preflight is answered where the function's option cors has its origin"
    return PlatformError(
        405,
        f"method {shown(method)} never reaches a function; use one of {', '.join(METHODS)}"
        + (hint if method == "OPTIONS" else ""),
        headers={"Allow": ", ".join(METHODS)},
    )


def not_found(space: str, name: str) -> PlatformError:
    """404 of a function that does not exist."""
    return PlatformError(
        404,
        f"function not found: space {space!r} has no function {name!r}; "
        "deploy it or look at the list of functions",
    )


def no_version(name: str, qualifier: str, aliases: Iterable[str]) -> PlatformError:
    """404 of a function that has no such alias and no such version, with the names that may be meant."""
    near = hint(qualifier, list(aliases))
    return PlatformError(
        404,
        f"version not found: function {name!r} has no alias or version {shown(qualifier)}; "
        + (near or "set the alias, or look at its aliases and versions"),
    )


def deleted(name: str) -> PlatformError:
    """404 of a function that was deleted while its call waited."""
    return PlatformError(404, f"function not found: {name!r} was deleted during the call")


def too_large(most: int) -> PlatformError:
    """413; the body may have ``most`` bytes."""
    return PlatformError(
        413,
        f"the request's body is larger than {most} bytes, the function's max_request; send less or raise it",
        {"max_request_bytes": most},
    )


def too_much_head(why: Exception) -> PlatformError:
    """431; the path and the headers together do not fit into the frame of a call."""
    return PlatformError(431, f"the request's path and headers do not fit into a call: {why}; send less")


def queue_full(depth: int) -> PlatformError:
    """429; the function's queue has ``depth`` calls, its most."""
    return PlatformError(
        429,
        f"the function's queue is full: {depth} calls are waiting; try again",
        {"reason": "queue", "queue_depth": depth},
        {"Retry-After": "1"},
    )


def no_place(waited_s: float, instances: int) -> PlatformError:
    """429 where ``instances`` stayed busy for the whole wait; 503 where there is no instance."""
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


def over_quota(
    quota: str, limit: int, used: int, retry_s: int, resets_in_s: int | None, headers: Mapping[str, str]
) -> PlatformError:
    """429; a quota of the space is spent.  ``resets_in_s`` is None where nobody knows when."""
    return PlatformError(
        429,
        f"the space's quota {quota} is spent: {used} of {limit}; "
        f"try again in {retry_s} s, or ask the operator for more",
        {"reason": "quota", "quota": quota, "limit": limit, "used": used, "resets_in_s": resets_in_s},
        {"Retry-After": str(retry_s), **headers},
    )


def replaced_too_often() -> PlatformError:
    """503; each look-up found a version that was replaced before it took the call."""
    return PlatformError(
        503, "the function is being replaced again and again; try again", headers={"Retry-After": "1"}
    )


def leaving() -> PlatformError:
    """503 of what comes too late: the server's time to drain is up, or its warden is gone."""
    return PlatformError(503, "the server is shutting down; try again", headers={"Retry-After": "2"})


def our_mistake(call_id: str) -> PlatformError:
    """500; the front's code has a bug."""
    message = "the platform made a mistake; its operator finds it in the log by the call id"
    return PlatformError(500, message, {"call_id": call_id})
