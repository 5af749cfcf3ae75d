"""What one ``cellblock deploy`` wants of a function, and what it changed.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from supervisor.cli.output import as_text, cut

DEFAULT_TEMPLATE = "python3-http"  # the server's default runtime
VALUE_MAX_CHARS = 60  # of a value in the line that says what changed
DEFAULT = "default"


@dataclass(frozen=True)
class Wanted:
    """What the command line gave.

    ``base`` is the part of the request's body that every deploy has (code, runtime, description).
    """

    base: dict[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    unset: Sequence[str] = ()
    unset_env: Sequence[str] = ()
    is_reset: bool = False
    may_create_space: bool = False

    def to_create(self, name: str) -> dict[str, Any]:
        """The body of a POST: what is unset has its default from the start, and its name is checked."""
        given = {"options": {**dict.fromkeys(self.unset), **self.options}, "env": dict(self.env)}
        return {
            "name": name,
            "template": DEFAULT_TEMPLATE,
            **self.base,
            **{key: value for key, value in given.items() if value},
        }

    def to_replace(self) -> dict[str, Any]:
        """The body of a PUT, which replaces all options and variables."""
        options = {
            **dict.fromkeys(self.unset),
            **self.options,
        }  # null is the default, and its name is checked
        return {**self.base, "options": options, "env": dict(self.env)}

    def to_merge(self) -> dict[str, Any]:
        """The body of a PATCH: what it names changes, null takes away, all else stays."""
        given = {
            "options": {**dict.fromkeys(self.unset), **self.options},
            "env": {**dict.fromkeys(self.unset_env), **self.env},
        }
        return {**self.base, **{key: value for key, value in given.items() if value}}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two descriptions of a function, a few words each; empty if nothing does."""
    found = ["code"] if before.get("digest") != after.get("digest") else []
    for key, word in (("template", "runtime"), ("description", "description")):
        found += _change(word, before.get(key), after.get(key))
    for key, prefix, absent in (("options", "", DEFAULT), ("env", "env ", "none")):
        one, other = (_mapping(function.get(key)) for function in (before, after))
        for name in sorted({*one, *other}):
            found += _change(prefix + name, one.get(name, absent), other.get(name, absent))
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _change(word: str, before: object, after: object) -> list[str]:
    if before == after:
        return []
    return [f"{word} {_short(before)} → {_short(after)}"]


def _short(value: object) -> str:
    return cut(as_text(value), VALUE_MAX_CHARS) or "''"
