"""``/healthz`` and ``/readyz``: whether the server runs, whether it takes calls, and how it contains cells.

``/healthz?verbose`` lists every layer of containment for the administrator.
"""

from __future__ import annotations

import json
from typing import Any

from supervisor import __version__
from supervisor.errors import PlatformError
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.outcome import answers
from supervisor.front.readiness import Problem, Readiness
from supervisor.front.warden_link import WardenLink

PATHS = ("/healthz", "/readyz")


def _is_verbose(query: bytes) -> bool:
    """``?verbose``, with or without a value that means yes."""
    return any(part in (b"verbose", b"verbose=1", b"verbose=true") for part in query.split(b"&"))


async def health(
    scope: dict[str, Any], warden: WardenLink, credentials: Credentials, readiness: Readiness
) -> answers.Answer:
    """The answer to a request for one of PATHS."""
    if scope["method"] not in ("GET", "HEAD"):
        error = PlatformError(
            405, f"method {scope['method']} is not allowed here; use GET", headers={"Allow": "GET, HEAD"}
        )
        return answers.refused(error)
    if scope["path"] == "/readyz":
        return _ready(await readiness.problems())
    is_breached = any(layer.status == "breached" for layer in warden.layers)
    state: dict[str, Any] = {"status": "breached" if is_breached else "ok", "version": __version__}
    if _is_verbose(scope["query_string"]):
        # Only the administrator learns how the cells are contained; everybody else, that they are.
        given = dict(scope["headers"]).get(b"authorization")
        try:
            await credentials.require_admin(
                given, credentials.callers.of(scope), "the layers are shown to the administrator"
            )
        except PlatformError as refusal:
            return answers.refused(refusal)
        state["layers"] = [layer.as_json() for layer in warden.layers]
    return _as_json(503 if is_breached else 200, state)


def _ready(problems: list[Problem]) -> answers.Answer:
    """The answer of ``/readyz``: 503 if calls fail, 200 if the server goes on, with what is wrong."""
    told = [problem.as_json() for problem in problems]
    if any(problem.is_needed for problem in problems):
        why = "; ".join(problem.message for problem in problems)
        error = PlatformError(503, f"{why}; try again", {"problems": told}, {"Retry-After": "2"})
        return answers.refused(error)
    state: dict[str, Any] = {"status": "degraded" if problems else "ok", "version": __version__}
    return _as_json(200, {**state, "problems": told} if problems else state)


def _as_json(status: int, state: dict[str, Any]) -> answers.Answer:
    return answers.Answer(status, [(b"content-type", b"application/json")], json.dumps(state).encode())
