"""What a stranger sees after the first start: the examples, and commands that work as they are printed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_recorder import Answer, HttpRecorder, json_answer, refusal
from tests.support.server import TOKEN, Server

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/handler.py"))
DEADLINE_SECONDS = 60
LIST = "/spaces/demo/functions"

pytestmark = pytest.mark.slow  # each starts an interpreter, some several


def welcome(*arguments: object, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    return subprocess.run(
        [sys.executable, "-m", "supervisor.cli.serving.welcome", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**variables, "CELLBLOCK_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )


def typed(*lines: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """What a person gets who types these lines in the checkout, with a terminal's bare environment."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    if token:
        variables["CELLBLOCK_TOKEN"] = token
    return subprocess.run(
        ["sh", "-euc", "\n".join(lines)],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )


def versions(server: Server) -> dict[str, int]:
    return {entry["name"]: entry["version"] for entry in server.client.get(LIST).json()["data"]}


def example(folder: Path, text: str = "def handle(req):\n    return {'body': 'one'}\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "handler.py").write_text(text)
    return folder


@pytest.fixture
def demo(server: Server) -> Iterator[Server]:
    """The shared server with an empty space ``demo``, and without it afterwards."""
    for name in versions(server):  # other tests have left it
        server.client.delete(f"{LIST}/{name}")
    assert versions(server) == {}
    yield server
    for name in versions(server):
        assert server.client.delete(f"{LIST}/{name}").status_code == 204


def one_line(ended: subprocess.CompletedProcess[str], code: int) -> str:
    assert ended.returncode == code, ended
    assert ended.stderr.startswith("cellblock: ") and ended.stderr.count("\n") == 1, ended
    return ended.stderr


@pytest.mark.promise("S41")
def test_every_example_is_deployed_and_the_printed_commands_work_as_they_stand(
    demo: Server, tmp_path: Path
) -> None:
    token_file = tmp_path / "it's the token"
    token_file.write_text(f"{TOKEN}\n")
    ended = welcome(demo.url, EXAMPLES, token_file)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert TOKEN not in ended.stdout
    assert sorted(versions(demo)) == NAMES
    lines = ended.stdout.splitlines()
    assert lines[: len(NAMES)] == [f"created function {name} in space demo" for name in NAMES]
    (curl,) = [line for line in lines if line.startswith("  curl ")]
    assert json.loads(typed(curl.strip() + " -sS").stdout) == {"message": "Hello, Ada!"}
    (export,) = [line for line in lines if line.startswith("  export ")]
    invoke = lines[lines.index(export) + 1]
    assert json.loads(typed(export.strip(), invoke.strip()).stdout) == {"message": "Hello, Ada!"}


def test_where_a_setting_has_the_token_what_to_type_takes_it_from_the_variable(
    demo: Server, tmp_path: Path
) -> None:
    example(tmp_path / "one")

    ended = welcome(demo.url, tmp_path)

    assert TOKEN not in ended.stdout
    (curl,) = [line for line in ended.stdout.splitlines() if line.startswith("  curl ")]
    assert typed(curl.strip() + " -sS", token=TOKEN).stdout == "one"


def test_a_second_start_makes_no_new_version_and_says_again_what_to_type(demo: Server) -> None:
    first = welcome(demo.url, EXAMPLES)
    before = versions(demo)

    second = welcome(demo.url, EXAMPLES)

    assert second.returncode == 0
    assert versions(demo) == before
    assert "function hello" not in second.stdout
    assert second.stdout.split("Call hello:")[1] == first.stdout.split("Call hello:")[1]


def test_an_example_that_was_edited_becomes_a_new_version(demo: Server, tmp_path: Path) -> None:
    example(tmp_path / "same")
    edited = example(tmp_path / "edited")
    welcome(demo.url, tmp_path)
    example(edited, "def handle(req):\n    return {'body': 'two'}\n")

    ended = welcome(demo.url, tmp_path)

    assert versions(demo) == {"edited": 2, "same": 1}
    assert ended.stdout.splitlines()[0] == "updated function edited in space demo: version 2"
    assert demo.client.post(f"{LIST}/edited/invoke").text == "two"


def test_a_broken_example_costs_one_line_and_the_others_are_deployed(demo: Server, tmp_path: Path) -> None:
    broken = example(tmp_path / "broken", "def handle(req)\n    return {}\n")
    example(tmp_path / "whole")
    (tmp_path / "no-example").mkdir()

    ended = welcome(demo.url, tmp_path)

    line = one_line(ended, 1)
    assert f"{broken}/handler.py:1" in line and "example broken" in line
    assert list(versions(demo)) == ["whole"]
    assert "functions/whole/invoke" in ended.stdout


def test_a_server_on_every_address_is_told_by_one_that_can_be_typed(demo: Server, tmp_path: Path) -> None:
    example(tmp_path / "anywhere")

    ended = welcome(demo.url.replace("127.0.0.1", "0.0.0.0"), tmp_path)

    assert ended.returncode == 0
    assert f" {demo.url}/spaces/demo/functions/anywhere/invoke" in ended.stdout
    assert "0.0.0.0" not in ended.stdout


def test_a_server_that_is_gone_costs_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    line = one_line(welcome(f"http://127.0.0.1:{port}", EXAMPLES), 3)

    assert "cannot reach the server" in line


def test_a_server_that_refuses_every_example_costs_a_line_for_each() -> None:
    with HttpRecorder() as server:
        server.answer("GET", LIST, json_answer(200, {"data": [], "paging": {"next_cursor": None}}))
        server.answer("POST", LIST, refusal(503, "no instance can be started"))

        ended = welcome(server.url, EXAMPLES)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert [line.split(":")[1] for line in ended.stderr.splitlines()] == [
        f" example {name}" for name in NAMES
    ]


def test_a_server_that_goes_away_between_two_examples_costs_one_line() -> None:
    with HttpRecorder() as server:
        server.answer("GET", LIST, json_answer(200, {"data": [], "paging": {"next_cursor": None}}))
        server.answer("POST", LIST, Answer(hang_up=True))

        assert f"example {NAMES[0]}: " in one_line(welcome(server.url, EXAMPLES), 3)


def test_a_token_that_the_server_does_not_know_costs_one_line() -> None:
    with HttpRecorder() as server:
        server.answer("GET", LIST, refusal(401, "Unauthenticated"))

        line = one_line(welcome(server.url, EXAMPLES), 1)

    assert "does not know this token" in line and TOKEN not in line


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["http://127.0.0.1:8080", "/no/such/folder"], "cannot read the examples"),
        (["http://127.0.0.1:8080"], "usage: "),
        (["ftp://127.0.0.1", "/"], "cannot use the server URL"),
    ],
)
def test_a_wrong_call_costs_one_line(arguments: list[str], what: str) -> None:
    with HttpRecorder() as server:
        server.answer("GET", LIST, json_answer(200, {"data": [], "paging": {"next_cursor": None}}))
        given = [server.url if argument.startswith("http:") else argument for argument in arguments]

        assert what in one_line(welcome(*given), 2)


def test_a_folder_without_examples_costs_one_line(tmp_path: Path) -> None:
    assert "no folder in it has a handler.py" in one_line(welcome("http://127.0.0.1:8080", tmp_path), 2)


def test_a_missing_token_costs_one_line() -> None:
    assert "set CELLBLOCK_TOKEN" in one_line(welcome("http://127.0.0.1:8080", EXAMPLES, token=""), 2)


def test_curl_is_here() -> None:
    """The commands that are printed are only as good as the test that types them."""
    assert shutil.which("curl")
