"""The plain command lines of ``cellblock serve``: options with their values, all known and well-formed.

They are read here without typer, whose import takes a third of a start.  Typer reads any other command line,
and answers every mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.cli.serving.serve import ServeOptions

_VALUES: dict[str, Callable[[str], Path | str | int]] = {
    "--data-dir": Path,
    "--bind": str,
    "--workers": int,
    "--config": Path,
    "--runtimes-dir": Path,
    "--log-level": str,
    "--examples": Path,
}
_FLAG = "--insecure-dev"
_NUMBER = re.compile(r"[0-9]{1,9}")


def options_of(arguments: Sequence[str]) -> ServeOptions | None:
    """The options in the arguments after ``serve``, or None if they are not plain; pure."""
    found: dict[str, Path | str | int | bool] = {}
    rest = list(arguments)
    while rest:
        name, is_joined, value = rest.pop(0).partition("=")
        if name == _FLAG and not is_joined:
            found["insecure_dev"] = True
            continue
        read = _VALUES.get(name)
        if read is None or not (is_joined or rest):
            return None
        if not is_joined:
            value = rest.pop(0)
        if not value or value.startswith("-") or (read is int and not _NUMBER.fullmatch(value)):
            return None
        found[name[2:].replace("-", "_")] = read(value)
    return ServeOptions(**found)  # type: ignore[arg-type]
