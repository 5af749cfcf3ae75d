"""Plain command lines of ``serve`` are read as the command line's library reads them, or left to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from supervisor.cli.serving.plain_arguments import options_of
from supervisor.cli.serving.serve import ServeOptions
from supervisor.cli.serving.serve_command import serve

PLAIN = [
    [],
    ["--data-dir", "/d"],
    ["--data-dir=/d", "--bind", "127.0.0.1:8080"],
    ["--bind=[::1]:0", "--workers", "3", "--config", "c.toml", "--runtimes-dir", "r"],
    ["--log-level", "debug", "--insecure-dev", "--examples", "examples"],
    ["--workers=007", "--workers", "2"],
    ["--bind", "a=b"],
    ["--data-dir", "a b/../c"],
]
# What is wrong, and what may mean something that only the library knows.
NOT_PLAIN = [
    ["--bind"],
    ["--bind", ""],
    ["--bind="],
    ["--bind", "--workers"],
    ["--bind", "-1"],
    ["--workers", "two"],
    ["--workers", "-1"],
    ["--workers", "1_0"],
    ["--workers", "\u0663"],
    ["--workers", "9" * 30],
    ["--no-such-option", "x"],
    ["--insecure-dev=true"],
    ["--help"],
    ["-h"],
    ["--"],
    ["positional"],
    ["--data-dir", "/d", "more"],
    ["--DATA-DIR", "/d"],
]


@pytest.fixture(scope="module")
def command() -> Any:
    """``serve`` as the library has it."""
    alone = typer.Typer(add_completion=False)
    alone.command("serve")(serve)
    return get_command(alone)


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_a_plain_command_line_says_what_the_library_finds_in_it(command: Any, arguments: list[str]) -> None:
    found = command.make_context("serve", list(arguments)).params
    assert options_of(arguments) == ServeOptions(**found)


@pytest.mark.parametrize("arguments", NOT_PLAIN, ids=ascii)
def test_whatever_is_not_plain_is_left_to_the_library(arguments: list[str]) -> None:
    assert options_of(arguments) is None


def test_each_option_of_serve_can_be_said_plainly(command: Any) -> None:
    names = {parameter.name for parameter in command.params}
    assert names == set(ServeOptions._fields)
    for name in names:
        option = "--" + name.replace("_", "-")
        plain = options_of([option] if name == "insecure_dev" else [option, "1"])
        assert plain is not None
        assert getattr(plain, name) in (True, 1, "1", Path("1"))
