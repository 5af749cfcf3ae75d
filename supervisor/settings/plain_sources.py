"""Reading the server's settings: the command line wins, then the environment, then a file, then the default.

The environment's variables are called ``CELLBLOCK_*``; ``--config`` or ``CELLBLOCK_CONFIG`` names the TOML
file; ``supervisor.settings.declarations`` has the defaults.

Most servers have *plain* settings: known names, values of the right type and within their bounds, no lists
and no tables.  They are read here.  All others, and every mistake, are left to
``supervisor.settings.validated``, because importing pydantic takes longer than the rest of a start.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from supervisor.errors import ConfigurationError
from supervisor.settings.declarations import PREFIX, Settings, host_and_port_of, is_no_setting

_INTEGER = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_TRUTH = {"true": True, "false": False}


class NotPlain(Exception):
    """A setting is not plain: it has parts, or it is a mistake."""


class VariableText(NamedTuple):
    """The value of an environment's variable: it may spell a number or a truth value."""

    text: str


def load(config: Path | None = None, **given: Any) -> Settings:
    """Settings from ``given`` (``None`` means not given), the environment and ``config``.

    Raises ConfigurationError with one line that names the setting.
    """
    path = config or (Path(env) if (env := os.environ.get("CELLBLOCK_CONFIG")) else None)
    if path is not None and not path.is_file():
        raise ConfigurationError(f"cannot read the settings file {path}: no such file")
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return plain(path, os.environ, values)
    except NotPlain:
        from supervisor.settings.validated import validated

        return validated(path, values)


def plain(path: Path | None, environment: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """Settings from these sources, if they are plain; else NotPlain."""
    found: dict[str, Any] = {}
    if path is not None:
        import tomllib  # a millisecond, which a server without a file does not wait

        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise NotPlain from None
    hints = get_type_hints(Settings)
    for name, text in environment.items():
        if name.upper().startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower()
            if name != name.upper() or "__" in key:  # only pydantic reads these
                raise NotPlain
            if key in hints:
                found[key] = VariableText(text)
            elif not is_no_setting(name):
                raise NotPlain
    found |= given
    if found.keys() - hints.keys():
        raise NotPlain
    bounds = {each.name: each.metadata for each in fields(Settings)}
    settings = Settings(**{name: plain_value(hints[name], bounds[name], found[name]) for name in found})
    try:
        host_and_port_of(settings.bind)
    except ValueError:
        raise NotPlain from None
    return settings


def plain_value(hint: Any, bounds: Mapping[str, Any], given: Any) -> Any:
    """``given`` in the type of the setting, and within its bounds; else NotPlain."""
    if get_origin(hint) is UnionType:  # ``T | None``; a source cannot give None
        (hint,) = set(get_args(hint)) - {NoneType}
    value = _typed(hint, given)
    is_number = isinstance(value, int | float)
    is_within = (
        "pattern" not in bounds
        and (not is_number or math.isfinite(value))
        and ("ge" not in bounds or value >= bounds["ge"])
        and ("gt" not in bounds or value > bounds["gt"])
        and ("le" not in bounds or value <= bounds["le"])
        and ("min_length" not in bounds or len(value) >= bounds["min_length"])
        and ("max_length" not in bounds or len(value) <= bounds["max_length"])
    )
    if not is_within:
        raise NotPlain
    return value


def _typed(kind: Any, given: Any) -> Any:
    value = given.text if isinstance(given, VariableText) else given
    if get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
    elif kind is str or kind is Path:
        # An empty or blank text may be an oversight, which pydantic's side answers.
        if isinstance(value, str | Path if kind is Path else str) and str(value).strip():
            return kind(value)
    elif isinstance(given, VariableText):
        if kind is bool and value in _TRUTH:
            return _TRUTH[value]
        if kind is int and _INTEGER.fullmatch(value):
            return int(value)
        if kind is float and _NUMBER.fullmatch(value):
            return float(value)
    elif kind in (bool, int, float) and (type(value) is kind or (kind is float and type(value) is int)):
        return kind(value)
    raise NotPlain
