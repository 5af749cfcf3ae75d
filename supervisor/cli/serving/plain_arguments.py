"""The plain command lines of ``cellblock serve``: options with their values, all known and well-formed.

They are read here without typer, whose import takes a third of a start.  Typer reads any other command line,
and answers every mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

from supervisor.cli.serving.serve import ServeOptions

_NUMBER = re.compile(r"[0-9]{1,9}")


def options_of(arguments: Sequence[str]) -> ServeOptions | None:
    """The options in the arguments after ``serve``, or None if they are not plain; pure."""
    types = _types()
    found: dict[str, Path | str | int | bool] = {}
    rest = list(arguments)
    while rest:
        option, is_joined, value = rest.pop(0).partition("=")
        name = option[2:].replace("-", "_")
        read = types.get(option)
        if read is bool and not is_joined:
            found[name] = True
            continue
        if read is None or read is bool or not (is_joined or rest):
            return None
        if not is_joined:
            value = rest.pop(0)
        if not value or value.startswith("-") or (read is int and not _NUMBER.fullmatch(value)):
            return None
        found[name] = read(value)
    return ServeOptions(**found)  # type: ignore[arg-type]


def _types() -> dict[str, Callable[[str], Path | str | int | bool]]:
    """Each option, such as ``--data-dir``, with its type: the ``Path`` of ``Path | None``."""
    hints = get_type_hints(ServeOptions)
    return {"--" + name.replace("_", "-"): get_args(hint)[0] for name, hint in hints.items()}
