"""The Bound of each setting, made of its declaration: a front checks with these what it is told.

A front has no pydantic, which checks the same declarations in the warden.  Where a declaration bounds no
length, what one message can hold does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from supervisor.function_limits import FILES, Limits
from supervisor.settings.declarations import Settings
from supervisor.tenancy.quota_names import QUOTAS
from worker.message_fields import (
    Bound,
    DictBound,
    FlagBound,
    ListBound,
    OptionalBound,
    WordBound,
    read_fields,
)

# No text of a setting, no list and no map is longer: a message has 64 KiB.
LENGTH_MOST = 1 << 16


class NumberBound(Bound):
    """A finite number within the bounds of a declaration; JSON may carry a whole ``float`` as an int."""

    def __init__(self, kind: type, declared: Mapping[str, Any]) -> None:
        self.types = (int,) if kind is int else (int, float)
        self.above = declared.get("gt", -float("inf"))
        self.least = declared.get("ge", -float("inf"))
        self.most = declared.get("le", float("inf"))

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) not in self.types:
            raise ValueError("is no number of its type")
        if not (self.above < value < float("inf") and self.least <= value <= self.most):  # no NaN is
            raise ValueError("is not within its bounds")
        return value

    plain = read


class DeclaredTextBound(Bound):
    """Text of at most the declared length, that has the declared pattern."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        self.most = declared.get("max_length", LENGTH_MOST)
        self.pattern = declared.get("pattern", "")

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not str or len(value) > self.most:
            raise ValueError(f"is no text of at most {self.most} characters")
        # Compiled at the first use: most servers have none of the settings with a pattern.
        if self.pattern and re.search(self.pattern, value) is None:
            raise ValueError("is not " + self.pattern)
        return value

    plain = read


class EitherBound(Bound):
    """What one of several bounds allows."""

    def __init__(self, *bounds: Bound) -> None:
        self.bounds = bounds

    def read(self, value: Any) -> Any:
        """The same."""
        for bound in self.bounds[:-1]:
            try:
                return bound.read(value)
            except ValueError:
                continue  # the next one may allow it
        return self.bounds[-1].read(value)

    plain = read


class NamedBound(Bound):
    """A map of values that each have a bound of their own; unless ``is_whole``, some may be missing."""

    def __init__(self, bounds: Mapping[str, Bound], *, is_whole: bool) -> None:
        self.bounds, self.is_whole = bounds, is_whole

    def read(self, value: Any) -> Any:
        """The same."""
        if type(value) is not dict or not value.keys() <= self.bounds.keys():
            raise ValueError("has a name that is not known")
        if self.is_whole and (missing := self.bounds.keys() - value.keys()):
            raise ValueError("lacks " + min(missing))
        return read_fields({name: self.bounds[name] for name in value}, value)

    plain = read


def bounds_of(declared: type) -> dict[str, Bound]:
    """The bounds of the settings, or options, that a class declares."""
    names: dict[str, Any] = {}
    for base in reversed(declared.__mro__):
        names |= vars(sys.modules[base.__module__])
    # Each annotation is evaluated once: the time is a front's, and 54 fields have 17 annotations.
    texts = {str(each.type) for each in fields(declared)}
    hints = get_type_hints(SimpleNamespace(__annotations__={text: text for text in texts}), names)
    return {each.name: _bound_of(hints[str(each.type)], each.metadata) for each in fields(declared)}


def _bound_of(hint: Any, declared: Mapping[str, Any]) -> Bound:
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        bound = EitherBound(*(_bound_of(kind, declared) for kind in kinds))
        return OptionalBound(bound) if NoneType in get_args(hint) else bound
    if get_origin(hint) is Literal:
        return WordBound(*get_args(hint))
    if hint is bool:
        return FlagBound()
    if hint in (int, float):
        return NumberBound(hint, declared)
    if hint in (str, Path):
        return DeclaredTextBound(declared)
    if get_origin(hint) is dict:
        key, item = get_args(hint)
        if item is int:
            return _quotas()
        return _options() if item is Any else DictBound(_bound_of(key, {}), _bound_of(item, {}), LENGTH_MOST)
    if get_origin(hint) in (list, tuple):
        return ListBound(_bound_of(get_args(hint)[0], {}), LENGTH_MOST)
    raise TypeError(f"no bound for {hint}")


def _quotas() -> Bound:
    """Quotas by their names."""
    limits = {name: NumberBound(int, {"ge": 0, "le": quota.most}) for name, quota in QUOTAS.items()}
    return NamedBound(limits, is_whole=False)


@cache
def _options() -> Bound:
    """Options by their names; the warden adds one ceiling that is no option: ``FILES``."""
    (files,) = (each.metadata for each in fields(Settings) if each.name == "instance_files")
    return NamedBound({**bounds_of(Limits), FILES: NumberBound(int, files)}, is_whole=False)
