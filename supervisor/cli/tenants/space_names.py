"""The names of spaces, completed from the server while somebody types: at once, or not at all."""

from __future__ import annotations

import os
import threading
from typing import Any

# A shell that waits longer feels broken.  The answer of a server at hand takes milliseconds.
COMPLETION_SECONDS = 1.0
NAMES_MOST = 1000  # one page of the list
ANSWER_MOST_BYTES = 1 << 20


def complete_space(ctx: Any, incomplete: str) -> list[str]:
    """The spaces that the caller may see and that begin so; none when the server does not answer in time."""
    given = {name: _given(ctx, name) for name in ("url", "token")}
    found: list[str] = []
    # A thread, because no timeout of a socket bounds the look-up of a name.
    asking = threading.Thread(target=lambda: found.extend(_names(**given)), daemon=True)
    asking.start()
    asking.join(COMPLETION_SECONDS)
    return [name for name in found if name.startswith(incomplete)]


def _given(context: Any, name: str) -> str | None:
    while context is not None:
        if value := context.params.get(name):
            return str(value)
        context = context.parent
    return None


def _names(url: str | None, token: str | None) -> list[str]:
    # The standard library: importing httpx takes longer than the rest.
    import http.client
    import json
    import urllib.request

    from supervisor.cli.client.connection_config import config_path, read_config, resolve_target
    from supervisor.cli.command_errors import CommandFailure

    try:
        target = resolve_target(url, token, None, os.environ, read_config(config_path()))
        headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
        where = f"{target.url}/spaces?limit={NAMES_MOST}"
        request = urllib.request.Request(where, headers=headers)  # noqa: S310 - resolve_target checked it
        handlers = [urllib.request.ProxyHandler({})] if target.is_loopback else []
        with urllib.request.build_opener(*handlers).open(request, timeout=COMPLETION_SECONDS) as answer:
            listed = json.loads(answer.read(ANSWER_MOST_BYTES))["data"]
        return [str(one["name"]) for one in listed]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, CommandFailure):
        return []  # nothing is completed: an error would stand in the middle of what is typed
