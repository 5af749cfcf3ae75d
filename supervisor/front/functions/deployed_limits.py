"""The limits of what is deployed already, which must answer calls whatever the operator changed since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from supervisor.function_limits import DEFAULTS, FILES, Limits, open_files_within, resolve
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import CalledAlias


def limits_in_force(named: dict[str, Any], settings: FrontSettings) -> Limits:
    """The limits of a version's stored options.  Pure.

    A deploy above a ceiling is refused (``supervisor.function_limits.resolve``).  A ceiling that was lowered
    after the deploy cuts the option instead: the function stays callable, under the new limit.
    """
    cut = dict(named)
    for name, ceiling in settings.all_ceilings.items():
        if name not in cut:
            continue
        if name != "network":
            cut[name] = min(cut[name], ceiling)
        elif ceiling == "none":
            cut[name] = "none"
    if FILES in settings.all_ceilings and "open_files" in cut:
        processes = cut.get("processes", settings.defaults.get("processes", DEFAULTS["processes"]))
        cut["open_files"] = open_files_within(cut["open_files"], processes, settings.all_ceilings[FILES])
    minimum = cut.pop("min_instances", None)
    limits = resolve(cut, settings.defaults, settings.all_ceilings)
    if minimum is None:
        return limits
    return replace(limits, min_instances=min(minimum, limits.max_instances))


def public_aliases(aliases: Iterable[CalledAlias], settings: FrontSettings) -> list[str]:
    """The names of the aliases that lead to a public version."""
    return [alias.name for alias in aliases if any(limits.public for limits in _limits_of(alias, settings))]


def keeps_instances(alias: CalledAlias, settings: FrontSettings) -> bool:
    """Whether a version that the alias names has ``min_instances``."""
    return any(limits.min_instances for limits in _limits_of(alias, settings))


def _limits_of(alias: CalledAlias, settings: FrontSettings) -> list[Limits]:
    return [limits_in_force(dict(options), settings) for options in alias.options.values()]
