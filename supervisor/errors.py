"""The platform's refusals, in one envelope (docs/troubleshooting.md).

A refusal says what is refused, why, and what to do.  It never carries a traceback of ours.  It shows values
from outside with :func:`shown`, so that they are short and cannot break a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# What callers read once a cell has failed its self-test.
BREACHED = "the server's containment failed its own test, and its operator has to look"
SHOWN_MAX_CHARS = 120  # long enough to recognise a value, short enough not to flood a log


def shown(value: object) -> str:
    """``repr`` of a value from outside, cut to SHOWN_MAX_CHARS characters."""
    text = repr(value)
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "…"


class PlatformError(Exception):
    """An error that the platform answers with, as opposed to the answer of a function.

    ``status`` is the HTTP status, ``message`` one sentence for a person, ``details`` a JSON object
    for a program, ``headers`` extra response headers such as ``Retry-After`` or ``Allow``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = dict(details) if details else None
        self.headers = dict(headers) if headers else {}

    def envelope(self) -> dict[str, Any]:
        """``{"error": {"status", "message", "details"}}``; ``details`` is an object, possibly empty."""
        return {"error": {"status": self.status, "message": self.message, "details": self.details or {}}}

    def body(self) -> bytes:
        """The envelope as JSON bytes."""
        return json.dumps(self.envelope()).encode()


class ConfigurationError(Exception):
    """The operator's settings or host cannot be used; the message says what to change."""
