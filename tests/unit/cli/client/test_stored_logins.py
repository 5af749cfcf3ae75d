"""The file of ``cellblock login``: for its user alone, whole or not at all."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from supervisor.cli.client.connection_config import resolve_target
from supervisor.cli.client.stored_logins import forget_login, keep_login, read_logins
from supervisor.cli.command_errors import CommandFailure

URL, OTHER = "http://one:1", "http://two:2"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "cellblock" / "credentials.json"


@pytest.mark.promise("S199")
def test_a_token_is_kept_for_its_server_and_space_and_nobody_else_can_read_it(path: Path) -> None:
    assert read_logins(path) == {}
    keep_login(path, URL, "demo", "first")
    keep_login(path, URL, "demo", "second")
    keep_login(path, URL, "shop", " third\n")
    keep_login(path, OTHER, "*", "admin")
    assert read_logins(path) == {URL: {"demo": "second", "shop": "third"}, OTHER: {"*": "admin"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["credentials.json"]


def test_what_a_broken_run_left_is_in_nobodys_way(path: Path) -> None:
    keep_login(path, URL, "demo", "first")
    path.with_name("credentials.json.part").write_text("half")
    keep_login(path, URL, "demo", "second")
    assert read_logins(path)[URL]["demo"] == "second"


def test_a_token_is_forgotten_by_space_or_by_server(path: Path) -> None:
    assert forget_login(path, URL, None) == []
    for space in ("a", "b"):
        keep_login(path, URL, space, "t")
    keep_login(path, OTHER, "a", "t")
    assert forget_login(path, URL, "a") == ["a"]
    assert forget_login(path, URL, "a") == []
    assert forget_login(path, URL, None) == ["b"]
    assert read_logins(path) == {OTHER: {"a": "t"}}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"http://one:1": "t"}', '{"http://one:1": {"a": 1}}', '{"a": {"b": ["x"]}}']
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)
    for work in (lambda: read_logins(path), lambda: keep_login(path, URL, "a", "t")):
        with pytest.raises(CommandFailure, match="cellblock login"):
            work()
    assert path.read_text() == text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_read_or_write_is_refused(path: Path, mode: int) -> None:
    keep_login(path, URL, "a", "t")
    path.chmod(mode)
    with pytest.raises(CommandFailure, match="chmod 600"):
        read_logins(path)


def test_a_token_that_cannot_be_one_is_not_kept(path: Path) -> None:
    for token in ("", " ", "a b", "ä", "x" * 5000):
        with pytest.raises(CommandFailure):
            keep_login(path, URL, "a", token)
    assert not path.exists()


def test_the_option_wins_then_the_environment_then_the_login_then_the_file() -> None:
    config = {"url": URL, "token": "file"}
    logins = {URL: {"demo": "demo's", "shop": "shop's"}, OTHER: {"*": "admin's"}}
    env = {"CELLBLOCK_TOKEN": "env"}

    def token(*options: str | None, environment: dict[str, str] | None = None) -> str | None:
        url, given, space = options
        return resolve_target(url, given, space, environment or {}, config, logins).token

    assert token(None, "option", "demo", environment=env) == "option"
    assert token(None, None, "demo", environment=env) == "env"
    assert token(None, None, "demo") == "demo's"
    assert token(None, None, "shop") == "shop's"
    assert token(None, None, "another") == "file"
    assert token(OTHER, None, "demo") == token(OTHER, None, None) == "admin's"
    assert token("http://three:3", None, "demo") is None


def test_the_only_space_that_there_is_a_token_for_is_meant() -> None:
    assert resolve_target(URL, None, None, {}, {}, {URL: {"demo": "t"}}).space == "demo"
    assert resolve_target(URL, None, "x", {}, {}, {URL: {"demo": "t"}}).space == "x"
    assert resolve_target(URL, None, None, {}, {}, {URL: {"demo": "t", "shop": "t"}}).space == "default"
    assert resolve_target(URL, None, None, {}, {}, {URL: {"*": "t"}}).space == "default"
    assert json.dumps(resolve_target(URL, "secret", None, {}, {}).url)
    assert "secret" not in repr(resolve_target(URL, "secret", None, {}, {}))
