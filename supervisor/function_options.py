"""What a tenant may name of a function's options (docs/settings.md), as pydantic checks it.

The options with their bounds are those of ``supervisor.function_limits.Limits``.  An option that is not
named takes the operator's default, and nothing passes the operator's ceiling: ``resolve`` there does both.
"""

from __future__ import annotations

from dataclasses import fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, create_model

from supervisor import domains
from supervisor.function_limits import Limits

# What ``Limits`` declares of an option beside its bounds.
_NO_BOUNDS = frozenset({"description", "ceiling"})
# One origin, or ``*`` for all; as text, several with commas between (``--set cors=A,B``).
_Cors = Annotated[
    Literal["*"] | Annotated[list[str], Field(max_length=domains.ORIGINS_MOST)],
    BeforeValidator(domains.origins),
]


def _optional_fields() -> dict[str, Any]:
    """Each option with its bounds, or None for one that is not named."""
    hints = get_type_hints(Limits)
    found: dict[str, Any] = {}
    for option in fields(Limits):
        bounds = {name: bound for name, bound in option.metadata.items() if name not in _NO_BOUNDS}
        kind: Any = _Cors if option.name == "cors" else _without_none(hints[option.name])
        found[option.name] = ((Annotated[kind, Field(**bounds)] if bounds else kind) | None, None)
    return found


def _without_none(hint: Any) -> Any:
    if get_origin(hint) is not UnionType:
        return hint
    (kind,) = set(get_args(hint)) - {NoneType}
    return kind


_Declared: Any = create_model("_Declared", **_optional_fields())


# The API shows it as it stands here: /openapi.json has its name and its docstring.
class Options(_Declared):  # type: ignore[misc]
    """What a tenant may name of them; ``None`` or absent means the operator's default."""

    model_config = ConfigDict(extra="forbid", strict=False)

    def named(self) -> dict[str, Any]:
        """Only the options that the tenant gave a value."""
        values: dict[str, Any] = self.model_dump(exclude_none=True)
        return values
