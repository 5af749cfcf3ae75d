"""The server's settings as they are without an operator's word."""

from __future__ import annotations

import dataclasses
from typing import Any

from supervisor.settings.declarations import Settings


def default_of(name: str) -> Any:
    """The default of one."""
    (field,) = (field for field in dataclasses.fields(Settings) if field.name == name)
    return field.default
