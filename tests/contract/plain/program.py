"""A program of the suite: its files, its calls, where it runs, and in what it may differ."""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# In a program's text a line of this form begins another file; "+x" makes it executable.
FILE_LINE = re.compile(r"^--- (\S+?)( \+x)?\n", flags=re.MULTILINE)
PLAIN_HANDLER = re.compile(r"^def handle\(", flags=re.MULTILINE)


@dataclass(frozen=True)
class Differs:
    """The stated difference that a program shows, and what comes from a cell instead.

    In what is expected … stands for anything.
    """

    name: str
    answers: tuple[Mapping[str, Any], ...] | None = None
    stdout: str | None = None
    stderr: str | None = None

    @property
    def instead(self) -> dict[str, Any]:
        """The parts that are not plain Python's."""
        parts = {"answers": self.answers, "stdout": self.stdout, "stderr": self.stderr}
        return {
            part: list(value) if part == "answers" else value
            for part, value in parts.items()
            if value is not None
        }


@dataclass(frozen=True)
class Program:
    """``text`` is ``handler.py``, and after a line ``--- NAME`` another file of the bundle.

    ``only`` is "sync" for one that cannot stand in an ``async def``; one that is written as such has no other
    form.  ``varies`` with the version of Python: then it runs on every runtime.  ``fresh`` too runs with that
    option.  ``calls`` are the arguments of ``function.testing.event``.  ``loose`` says why some of its lines
    carry no call.  ``ends``: what its instance writes when it ends counts too.
    ``brings`` are packages of this environment that are files of its bundle.
    """

    text: str
    calls: tuple[Mapping[str, Any], ...] = ({},)
    only: str = ""
    varies: bool = False
    fresh: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    differs: Differs | None = None
    loose: str = ""
    ends: bool = False
    brings: tuple[str, ...] = ()

    def files(self, is_async: bool) -> dict[str, tuple[str, int]]:
        """Name to text and mode."""
        first, *others = FILE_LINE.split(textwrap.dedent(self.text).lstrip("\n"))
        if is_async:
            first = PLAIN_HANDLER.sub("async def handle(", first)
        found = {"handler.py": (first, 0o644)}
        for name, mark, text in zip(others[::3], others[1::3], others[2::3], strict=True):
            found[name] = (text, 0o755 if mark else 0o644)
        for name in self.brings:
            (package,) = importlib.import_module(name).__path__
            found |= {
                f"{name}/{path.relative_to(package)}": (path.read_text(encoding="utf-8"), 0o644)
                for path in Path(package).rglob("*.py")
            }
        return found

    @property
    def can_be_async(self) -> bool:
        """Whether its handler has another form than the one that is written."""
        handler, *_ = FILE_LINE.split(textwrap.dedent(self.text))
        return self.only != "sync" and PLAIN_HANDLER.search(handler) is not None


@dataclass(frozen=True)
class Run:
    """One program in one form on one runtime; ``str()`` of it is the name of its test."""

    family: str
    name: str
    program: Program
    runtime: str
    form: str  # "as written", "async" or "fresh"

    def __str__(self) -> str:
        form = "" if self.form == "as written" else f", {self.form}"
        return f"{self.family}: {self.name} ({self.runtime}{form})"

    @property
    def files(self) -> dict[str, tuple[str, int]]:
        """The bundle."""
        return self.program.files(self.form == "async")


def runs(
    families: Mapping[str, Mapping[str, str | Program]],
    either_way: Collection[str],
    default: str,
    others: Collection[str],
) -> list[Run]:
    """Every program on the default runtime in all of its forms; what varies as written on the others too.

    ``either_way`` are the families whose programs have an ``async`` form.
    """
    found = []
    for family, programs in families.items():
        for name, given in programs.items():
            program = given if isinstance(given, Program) else Program(given)
            is_either = family in either_way and program.can_be_async
            forms = ["as written"] + ["async"] * is_either + ["fresh"] * program.fresh
            found += [Run(family, name, program, default, form) for form in forms]
            if program.varies:
                found += [Run(family, name, program, runtime, "as written") for runtime in others]
    return found
