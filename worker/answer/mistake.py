"""A mistake in what a handler returned, and how messages show a tenant's values.

A value's class may be the tenant's own, so each look at it may run code that raises anything.
"""

from typing import Any

SHOWN_MAX_CHARS = 80
# A metaclass can answer anything for ``__name__``; this is the name that the class was given.
_type_name = type.__dict__["__name__"]


class ContractError(Exception):
    """The handler's answer breaks the contract; the message names the mistake."""


def clipped(text: str, max_chars: int) -> str:
    """The beginning of the text, with lone surrogates replaced, so that a frame can carry it."""
    return text[:max_chars].encode("utf-8", "replace").decode()


def class_name(value: Any) -> str:
    """The whole name of the value's class."""
    return str.__str__(_type_name.__get__(type(value)))


def kind_of(value: Any) -> str:
    """The name of the value's class, cut for a message."""
    return class_name(value)[:SHOWN_MAX_CHARS]


def has(value: Any, name: str) -> bool:
    """Whether the value has an attribute of that name."""
    try:
        return hasattr(value, name)
    except Exception:  # a tenant's __getattr__ may raise anything
        return False


def is_file(value: Any) -> bool:
    """Whether the value can be read like an open file."""
    return has(value, "read") and callable(value.read)


def shown(value: Any) -> str:
    """The value's repr, cut for a message."""
    try:
        text = str.__str__(repr(value))
    except Exception as error:  # a tenant's __repr__ may raise anything
        text = "<%s whose repr raises %s>" % (kind_of(value), kind_of(error))
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "\u2026"
