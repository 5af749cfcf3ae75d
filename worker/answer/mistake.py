"""A mistake in what a handler returned, and how its message shows the tenant's values."""

from typing import Any

SHOWN_MAX_CHARS = 80
_type_name = type.__dict__["__name__"]


class ContractError(Exception):
    """The handler's answer breaks the contract; the message names the mistake."""


def kind_of(value: Any) -> str:
    """The name of its class."""
    return str.__str__(_type_name.__get__(type(value)))[:SHOWN_MAX_CHARS]


def has(value: Any, name: str) -> bool:
    """Whether it has an attribute of that name."""
    try:
        return hasattr(value, name)
    except Exception:  # a __getattr__ that raises what it likes
        return False


def is_file(value: Any) -> bool:
    """Whether it can be read as an open file can."""
    return has(value, "read") and callable(value.read)


def shown(value: Any) -> str:
    """Its repr."""
    try:
        text = str.__str__(repr(value))
    except Exception as error:  # a tenant's __repr__ may raise anything
        text = "<%s whose repr raises %s>" % (kind_of(value), kind_of(error))
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "\u2026"
