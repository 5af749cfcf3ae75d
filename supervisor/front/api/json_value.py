"""Checks a variable's value: JSON that can be given to every cell as it is."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 32  # arrays and objects within one another; the decoder of a cell has a depth limit too
INTEGERS = range(-(1 << 63), 1 << 64)  # what msgpack and most other languages can hold
HALF_A_PAIR = "it has half a surrogate pair, which is no text"


def checked(value: Any, max_bytes: int) -> Any:
    """Return ``value``; ValueError if it cannot be a variable, with a reason that does not show it.

    ``max_bytes`` bounds it as compact JSON in UTF-8.
    """
    _check_parts(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise ValueError(HALF_A_PAIR) from None
    except ValueError:
        raise ValueError("it has NaN or an infinity, which are not JSON") from None
    if len(text) > max_bytes:
        raise ValueError(f"it is {len(text)} bytes as JSON; at most {max_bytes}")
    return value


def _check_parts(value: Any) -> None:
    # With a list for a stack: json.dumps would recurse before the depth was checked.
    todo = [(value, 0)]
    while todo:
        part, depth = todo.pop()
        if isinstance(part, dict | list):
            if depth >= MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} arrays and objects")
            inner = part.values() if isinstance(part, dict) else part
            todo.extend((one, depth + 1) for one in inner)
        elif isinstance(part, int) and part not in INTEGERS:
            raise ValueError("it has an integer beyond 64 bits; send that as a string")
