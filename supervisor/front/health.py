"""``/healthz`` and ``/readyz``: whether the server runs, whether it takes calls, and how it contains cells.

``/healthz?verbose`` lists every layer of containment for the administrator.
"""

from __future__ import annotations

import json
from typing import Any

from supervisor import __version__
from supervisor.errors import PlatformError
from supervisor.front.invoke.credential import Credentials, peer_of
from supervisor.front.outcome import answers
from supervisor.front.warden_link import WardenLink

PATHS = ("/healthz", "/readyz")


def _is_verbose(query: bytes) -> bool:
    """``?verbose``, with or without a value that means yes."""
    return any(part in (b"verbose", b"verbose=1", b"verbose=true") for part in query.split(b"&"))


async def health(scope: dict[str, Any], warden: WardenLink, credentials: Credentials) -> answers.Answer:
    """The answer to a request for one of PATHS."""
    if scope["method"] not in ("GET", "HEAD"):
        error = PlatformError(
            405, f"method {scope['method']} is not allowed here; use GET", headers={"Allow": "GET, HEAD"}
        )
        return answers.refused(error)
    is_breached = any(layer.status == "breached" for layer in warden.layers)
    if scope["path"] == "/readyz" and (is_breached or not warden.is_up):
        why = "the server's containment failed its own test" if is_breached else "the server is draining"
        return answers.refused(PlatformError(503, f"{why}; try again", headers={"Retry-After": "2"}))
    state: dict[str, Any] = {"status": "breached" if is_breached else "ok", "version": __version__}
    if scope["path"] == "/healthz" and _is_verbose(scope["query_string"]):
        # Only the administrator learns how the cells are contained; everybody else, that they are.
        given = dict(scope["headers"]).get(b"authorization")
        if credentials.principal(given) is None:
            why = "the layers are shown to the administrator"
            return answers.refused(await credentials.refusal(given, peer_of(scope), why))
        state["layers"] = [layer.as_json() for layer in warden.layers]
    body = json.dumps(state).encode()
    return answers.Answer(503 if is_breached else 200, [(b"content-type", b"application/json")], body)
