"""INIT, the first frame to a cell: what to import, with which environment, secrets and variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from worker import wire


def init_frame(
    mode: Literal["serve", "check"],
    whose: tuple[str, str, int],
    *,
    concurrency: int = 0,
    response_max_bytes: int = 0,
    env: Mapping[str, str],
    secrets: Mapping[str, str],
    variables: Mapping[str, object],
    text_content_type: str = "",
) -> bytes:
    """The frame, encoded.  ``check`` compiles the bundle; ``serve`` imports it and then takes calls.

    ``whose`` is space, name and version; ``concurrency`` 0 leaves the choice to the kind of handler.
    """
    body = json.dumps(
        {"secrets": secrets, "variables": variables, "env": env, "text_content_type": text_content_type}
    ).encode()
    head = (wire.WIRE_VERSION, mode, *whose, concurrency, response_max_bytes)
    return wire.encode(wire.INIT, 0, head, (), len(body)) + body
