"""The one shape of every error, asserted by one function.

``{"error": {"status", "message", "details"}}`` as ``application/json``, under the status it names, with
``X-Call-Id``, ``X-Duration-Seconds`` and ``Server-Timing``.  ``X-Invoked`` is there exactly when the
function itself was at fault by an exception of its own.  Nothing of the platform's inside shows.
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.support.raw_http import RawAnswer

NEVER_SHOWN = ("Traceback", "supervisor", "site-packages", "/opt/", "gunicorn", "worker.", "most recent call")


def assert_envelope(
    answer: httpx.Response | RawAnswer, status: int, *says: str, is_invoked: bool = False
) -> dict[str, Any]:
    """The ``error`` object, once the answer has been found to be one; ``says`` must be in its message."""
    if isinstance(answer, RawAnswer):
        pairs, body, found = answer.headers, answer.body, answer.status
    else:
        pairs, body, found = answer.headers.multi_items(), answer.content, answer.status_code
    assert found == status, body
    headers: dict[str, list[str]] = {}
    for name, value in pairs:
        headers.setdefault(name.lower(), []).append(value)
    assert headers["content-type"] == ["application/json"]
    for stamp in ("x-call-id", "x-duration-seconds", "server-timing"):
        assert len(headers[stamp]) == 1, stamp
    assert headers.get("x-invoked") == (["true"] if is_invoked else None)
    document = json.loads(body)
    assert list(document) == ["error"]
    error = document["error"]
    assert list(error) == ["status", "message", "details"]
    assert error["status"] == status
    assert isinstance(error["details"], dict)
    assert isinstance(error["message"], str) and error["message"]
    assert is_invoked or "\n" not in error["message"]
    for inside in NEVER_SHOWN:
        assert inside not in body.decode()
    for text in says:
        assert text in error["message"]
    return error
