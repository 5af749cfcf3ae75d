"""What an option of a function takes, in words, for the refusal of a value that it does not take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from supervisor.function_limits import Limits

_DECLARED = {each.name: each.metadata for each in fields(Limits)}
_HINTS = get_type_hints(Limits)
NAMES = tuple(_DECLARED)


def sentence(name: str, error: Mapping[str, Any]) -> str:
    """What was wrong with a value of this option by pydantic's ``error``, and what the option takes."""
    if error["type"] in ("value_error", "assertion_error"):  # one of ours, which says it already
        return str(error["msg"]).removeprefix("Value error, ")
    words = _DECLARED[name]["description"]
    return f"it takes {_taken(name)}" + ("" if _is_choice(name) else f" ({words})")


def _is_choice(name: str) -> bool:
    return get_origin(_HINTS[name]) is Literal


def _taken(name: str) -> str:
    (kind, *others) = (one for one in get_args(_HINTS[name]) or (_HINTS[name],) if one is not NoneType)
    if _is_choice(name):
        return " or ".join(map(repr, get_args(_HINTS[name])))
    if others or kind not in (int, float, bool):
        return "'*', or a list of origins such as 'https://app.example.com'"
    if kind is bool:
        return "true or false"
    bounds = _DECLARED[name]
    least = f"above {bounds['gt']}" if "gt" in bounds else f"at least {bounds['ge']}"
    what = "a whole number" if kind is int else "a number"
    return f"{what} without a unit, {least} and at most {bounds['le']}"
