"""Writes a body as JSON; or says which value in it JSON cannot carry, where, and what to write instead."""

import json
import math
from collections.abc import Mapping
from typing import Any, Dict, Optional

from .mistake import ContractError, has, kind_of, shown

# Deeper than any real document, and well below the interpreter's recursion limit.
MAX_DEPTH = 200
PATH_MAX_CHARS = 200
# Python refuses to write an integer with more digits, and most readers refuse to read one.
DIGITS_MOST = 4300

# A value with this attribute: what to write instead of it.
_INSTEAD = (
    ("isoformat", "value.isoformat()"),
    ("total_seconds", "value.total_seconds()"),
    ("tolist", "value.tolist()"),
    ("to_dict", "value.to_dict()"),
    ("model_dump", "value.model_dump(mode='json')"),
    ("__dataclass_fields__", "dataclasses.asdict(value)"),
    ("as_integer_ratio", "float(value) or str(value)"),
    ("decode", "value.decode(), or base64.b64encode(value).decode()"),
    ("tobytes", "value.tobytes().decode()"),
    ("__await__", "await value"),
    ("__anext__", "[item async for item in value]"),
    ("__next__", "list(value)"),
    ("__iter__", "list(value)"),
    ("hex", "str(value)"),
    ("__fspath__", "str(value)"),
)


def dumped(value: Any) -> bytes:
    """The body as JSON; ContractError names the value that JSON cannot carry."""
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can carry as an escape
        return json.dumps(value, allow_nan=False, default=_plain, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        culprit = _culprit(value, "body", 0)
        raise ContractError(culprit or "body cannot be JSON: %s" % shown(error)) from None


def _plain(value: Any) -> Dict[Any, Any]:
    """``default`` of json.dumps: a Mapping that is not a dict is written like one."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _culprit(value: Any, where: str, depth: int) -> Optional[str]:
    """A message about the first value that JSON cannot carry, with its place; None if there is none."""
    if depth > MAX_DEPTH:
        return "%s\u2026 is nested deeper than %d levels or contains itself" % (where[:40], MAX_DEPTH)
    if len(where) > PATH_MAX_CHARS:
        where = where[:PATH_MAX_CHARS] + "\u2026"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                return "%s has the key %s of type %s, which JSON cannot carry; write str(key)" % (
                    where, shown(key), kind_of(key),
                )  # fmt: skip
            found = _culprit(item, "%s[%s]" % (where, shown(key)), depth + 1)
            if found:
                return found
        return None
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            found = _culprit(item, "%s[%d]" % (where, index), depth + 1)
            if found:
                return found
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "%s is %r, which JSON cannot carry; write None or a text" % (where, float(value))
    if isinstance(value, int) and value.bit_length() > DIGITS_MOST * 3.3:
        return "%s is an int of more than %d digits, which Python does not write; write hex(value)" % (
            where, DIGITS_MOST,
        )  # fmt: skip
    if isinstance(value, (str, int, float, bool, type(None))):
        return None
    return "%s is of type %s, which JSON cannot carry%s" % (where, kind_of(value), _instead(value))


def _instead(value: Any) -> str:
    if kind_of(value) in ("type", "function", "builtin_function_or_method", "method"):
        return ""
    if kind_of(type(value)) in ("EnumMeta", "EnumType"):
        return "; write value.value"
    for name, instead in _INSTEAD:
        if has(value, name):
            return "; write " + instead
    return "; write what of it shall be sent, or str(value)"
