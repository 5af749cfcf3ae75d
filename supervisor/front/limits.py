"""The limits of what is already deployed, which must answer calls whatever the operator changed since."""

from __future__ import annotations

from typing import Any

from supervisor.options import Limits, Options, resolve
from supervisor.settings import Settings


def limits_in_force(named: dict[str, Any], settings: Settings) -> Limits:
    """The limits of a version's stored options; pure.

    A deploy above a ceiling is refused (``supervisor.options.resolve``).  A ceiling that was
    lowered after the deploy cuts instead: the function stays callable, under the new limit.
    """
    cut = dict(named)
    for name, ceiling in settings.all_ceilings.items():
        if name not in cut:
            continue
        if name != "network":
            cut[name] = min(cut[name], ceiling)
        elif ceiling == "none":
            cut[name] = "none"
    minimum = cut.pop("min_instances", None)
    limits = resolve(Options(**cut), settings.defaults, settings.all_ceilings)
    if minimum is None:
        return limits
    return limits.model_copy(update={"min_instances": min(minimum, limits.max_instances)})
