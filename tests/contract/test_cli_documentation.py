"""``docs/cli.md`` and ``--help`` against the commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from supervisor.cli.main import LAZY, LazyGroup, app

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")


def commands(*, lazy: bool = True) -> Iterator[tuple[str, Any]]:
    """Every command by its full name; those of LAZY as they really are, or not at all."""
    root = get_command(app)
    assert isinstance(root, LazyGroup)
    for name in LAZY:
        if lazy:
            root.load(name)
        else:
            del root.commands[name]
    yield from below("cellblock", root)


def below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from below(f"{path} {name}", inner)


def section(path: str) -> str:
    """What the page says of a command: the section of its first word, with what holds for every command."""
    words = path.split()
    common, *sections = re.split(r"^## `", PAGE, flags=re.MULTILINE)
    own = [text for text in sections if text.startswith(" ".join(words[:2]))] if len(words) > 1 else []
    return "\n".join([common, *own])


def test_the_page_names_every_command() -> None:
    for path, _ in commands():
        assert path in section(path), f"docs/cli.md says nothing of {path}"


def test_the_page_names_every_option_of_every_command() -> None:
    for path, command in commands():
        for parameter in command.params:
            if parameter.param_type_name != "option" or parameter.hidden:
                continue
            for name in parameter.opts:
                found = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", section(path))
                assert found, f"docs/cli.md says nothing of {name} of {path}"


def test_the_page_names_no_command_that_is_not_there() -> None:
    known = dict(commands())
    for line in re.findall(r"^(?:.*\| )?(cellblock .*)$", PAGE, flags=re.MULTILINE):
        words = shlex.split(line, comments=True)
        path = " ".join(words[:2])
        assert path in known, line
        if isinstance(known[path], TyperGroup):
            assert " ".join(words[:3]) in known, line


def examples(command: Any) -> list[str]:
    return re.findall(r"^ +(cellblock .*)$", command.help or "", flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "command"),
    [(path, command) for path, command in commands(lazy=False) if not isinstance(command, TyperGroup)],
)
def test_the_help_of_every_client_command_has_examples_that_parse(path: str, command: Any) -> None:
    assert examples(command), f"{path} --help has no example"
    for line in examples(command):
        assert len(line) <= 74, f"would be folded in 80 columns: {line}"
        words = shlex.split(re.split(r" [<>] ", line)[0])
        assert " ".join(words[: len(path.split())]) == path
        command.make_context(path, words[len(path.split()) :])
