"""The secrets and variables of a space in bodies and paths: what is valid, and what it means."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema, field_validator

from supervisor.front.api.json_value import checked
from supervisor.front.api.schemas import In, Label, Paging, stamp, whole_unicode
from supervisor.store import UNCHANGED, Allowed, SpaceValue, Unchanged

VALUE_MAX_BYTES = 64 * 1024
FUNCTIONS_MOST = 100  # of a list that says who gets a value
VALUE_NAME = r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$"


def _value_name(value: str) -> str:
    if not re.fullmatch(VALUE_NAME.strip("^$"), value):
        raise ValueError("use letters, digits and _ . -, at most 128, beginning with a letter or _")
    return value


ValueName = Annotated[
    str, AfterValidator(_value_name), WithJsonSchema({"type": "string", "pattern": VALUE_NAME})
]


FUNCTIONS = Field(None, description="the functions that get it; null: all of the space")


class _ForFunctions(In):
    """Which functions get a value."""

    functions: list[Label] | None = Field(
        None,
        max_length=FUNCTIONS_MOST,
        description="the functions of the space that get it; null: all of them, []: none; if it is left out, "
        "those that have it now",
    )

    @property
    def allowed(self) -> Allowed | Unchanged:
        """As the store takes it."""
        if "functions" not in self.model_fields_set:
            return UNCHANGED
        return None if self.functions is None else tuple(dict.fromkeys(self.functions))


class SecretIn(_ForFunctions):
    """A secret's value; it is never shown again."""

    value: str = Field(description=f"at most {VALUE_MAX_BYTES} bytes in UTF-8")

    @field_validator("value")
    @classmethod
    def _short(cls, value: str) -> str:
        size = len(whole_unicode(value).encode())
        if size > VALUE_MAX_BYTES:
            raise ValueError(f"it is {size} bytes; at most {VALUE_MAX_BYTES}")
        return value


class VariableIn(_ForFunctions):
    """A variable's value."""

    value: Any = Field(description=f"any JSON, at most {VALUE_MAX_BYTES} bytes")

    @field_validator("value")
    @classmethod
    def _carriable(cls, value: Any) -> Any:
        return checked(value, VALUE_MAX_BYTES)


def _listed(value: SpaceValue) -> list[str] | None:
    return None if value.functions is None else list(value.functions)


class SecretOut(BaseModel):
    """That a secret exists; never what it is."""

    name: str
    updated_at: str
    functions: list[str] | None = FUNCTIONS

    @classmethod
    def of(cls, value: SpaceValue) -> Self:
        """From the store's record."""
        return cls(name=value.name, updated_at=stamp(value.updated_at), functions=_listed(value))


class VariableOut(BaseModel):
    """A variable."""

    name: str
    value: Any
    updated_at: str
    functions: list[str] | None = FUNCTIONS

    @classmethod
    def of(cls, value: SpaceValue) -> Self:
        """From the store's record."""
        shown = {"name": value.name, "value": value.value, "updated_at": stamp(value.updated_at)}
        return cls(**shown, functions=_listed(value))


class SecretList(BaseModel):
    """Every secret of a space, by name."""

    data: list[SecretOut]
    paging: Paging = Paging()


class VariableList(BaseModel):
    """Every variable of a space, by name."""

    data: list[VariableOut]
    paging: Paging = Paging()
