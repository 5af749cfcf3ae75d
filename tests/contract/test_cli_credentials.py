"""``cellblock apps``, ``keys``, ``login``, ``whoami`` against a real server, and the scopes in the help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from supervisor.cli.command_scopes import COMMAND_ROUTES, OTHERS, sentence_of
from supervisor.cli.main import LAZY, app
from supervisor.tenancy.route_scopes import ROUTE_SCOPES
from tests.support.server import TOKEN, Server

COMMAND = Path(sys.executable).with_name("cellblock")
DEADLINE_SECONDS = 60
SPACE = "demo"

Cellblock = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cellblock(server: Server, tmp_path: Path) -> Cellblock:
    """Runs the command as a user with a home of its own."""

    def run(
        *words: str, given: str = "", code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
        environment |= {"CELLBLOCK_URL": server.url, "XDG_CONFIG_HOME": str(tmp_path), **variables}
        done = subprocess.run(
            [str(COMMAND), *words], input=given, env=environment, cwd=tmp_path,
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    return run


@pytest.fixture
def as_admin(cellblock: Cellblock) -> Cellblock:
    def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return cellblock(*words, "--space", SPACE, CELLBLOCK_TOKEN=TOKEN, **more)

    return run


@pytest.mark.slow
def test_a_key_is_made_logged_in_with_used_and_removed(as_admin, cellblock, tmp_path):
    made = json.loads(as_admin("keys", "add", "cli-ci", "--scope", "function", "--json").stdout)
    said = cellblock("login", given=made["key"] + "\n").stdout
    assert made["id"] in said and SPACE in said and made["key"] not in said
    kept = tmp_path / "cellblock/credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and made["key"] in kept.read_text()
    who = json.loads(cellblock("whoami", "--json").stdout)
    assert (who["space"], who["name"]) == (SPACE, f"key:{made['id']}")
    assert cellblock("functions", "list").returncode == 0, "in the one space of the login"
    assert "lacks the scope secret.read" in cellblock("secrets", "list", code=1).stderr
    assert (
        "no space"
        in cellblock("functions", "list", "--space", "other", CELLBLOCK_TOKEN=made["key"], code=1).stderr
    )
    assert "cli-ci" in as_admin("keys", "list").stdout
    as_admin("keys", "remove", "cli-ci")
    assert "does not know this token" in cellblock("whoami", code=1).stderr
    assert SPACE in cellblock("logout").stdout
    assert made["key"] not in kept.read_text()


@pytest.mark.slow
def test_an_app_is_made_rotated_and_removed_and_its_secret_shown_once(as_admin):
    made = json.loads(
        as_admin("apps", "add", "cli-shop", "--scope", "function.invoke", "--function", "f", "--json").stdout
    )
    assert (made["functions"], made["scopes"]) == (["f"], ["function.invoke"])
    listed = as_admin("apps", "list").stdout
    assert made["client_id"] in listed and made["client_secret"] not in listed
    rotated = as_admin("apps", "rotate", "cli-shop", "--overlap", "30m").stdout
    assert "cb_app_" in rotated and made["client_secret"] not in rotated
    as_admin("apps", "remove", made["client_id"])
    assert "has no app 'cli-shop'" in as_admin("apps", "remove", "cli-shop", code=1).stderr


@pytest.mark.slow
def test_login_keeps_nothing_that_the_server_does_not_take(as_admin, cellblock, tmp_path):
    assert "does not know this token" in cellblock("login", given="cb_key_wrong", code=1).stderr
    assert "1 to 4096 characters" in cellblock("login", given="", code=2).stderr
    assert "No such file" in cellblock("login", "--file", "absent", code=2).stderr
    made = json.loads(as_admin("keys", "add", "cli-other", "--scope", "log.read", "--json").stdout)
    (tmp_path / "key").write_text(made["key"])
    wrong = cellblock("login", "--file", "key", "--space", "default", code=2)
    assert "is of space demo" in wrong.stderr and made["key"] not in wrong.stderr
    assert not (tmp_path / "cellblock/credentials.json").exists()
    assert cellblock("login", "--file", "key").returncode == 0
    as_admin("keys", "remove", "cli-other")


@pytest.mark.promise("S201")
def test_the_help_of_each_command_that_asks_a_server_says_the_scope_it_needs() -> None:
    found = {path: command for path, command in below("", get_command(app)) if path.split()[0] not in LAZY}
    for path, command in found.items():
        takes_token = any(parameter.name in ("token", "url") for parameter in command.params)
        if not takes_token:
            continue
        assert (path in COMMAND_ROUTES) != (path in OTHERS), f"{path} has one row in command_scopes"
        said = sentence_of(path)
        assert (command.epilog or "") == said
    assert {*COMMAND_ROUTES, *OTHERS} <= found.keys()
    named = {route for routes in COMMAND_ROUTES.values() for route in routes}
    assert named - ROUTE_SCOPES.keys() == {"invoke"}


def below(path: str, command: Any) -> list[tuple[str, Any]]:
    """Every command that is no group, by its name."""
    if not isinstance(command, TyperGroup):
        return [(path.strip(), command)]
    return [found for name, inner in command.commands.items() for found in below(f"{path} {name}", inner)]
