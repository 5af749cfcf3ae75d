"""The command ``cellblock`` against a real server: each command does what it says, and the server agrees.

How the command line reads its arguments and shows its errors in every case is ``test_cli.py``'s subject.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.packing import zipped
from tests.support.server import TOKEN, Server

pytestmark = pytest.mark.slow  # each starts several interpreters

COMMAND = Path(sys.executable).with_name("cellblock")
DEADLINE_SECONDS = 60
SPACE = "cli"
ECHO = """
import os
def handle(req):
    if req.path == "/raise":
        raise ValueError("on purpose")
    if req.path == "/status":
        return {"status_code": int(req.body), "body": "as asked"}
    if req.path == "/seen":
        return {"body": {
            "method": req.method, "path": req.path, "query": list(req.query.items(multi=True)),
            "x": req.headers.getlist("X-Own"), "type": req.headers.get("Content-Type"),
            "region": os.environ.get("REGION"), "body": req.body.decode(),
        }}
    return {"body": req.body}
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The same modules are imported by every command: compile them once, wherever the environment forbids it.
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture(scope="module", autouse=True)
def space(server: Server) -> Iterator[None]:
    """The space is there while these tests run: the command refuses one that is not."""
    server.make_space(SPACE)
    yield
    assert server.client.delete(f"/spaces/{SPACE}?confirm={SPACE}").status_code == 204


@pytest.fixture
def run(server: Server, tmp_path: Path, bytecode: Path) -> Run:
    """``run(*words)``: the command in an empty folder, ended well unless ``code`` says otherwise."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPYCACHEPREFIX": str(bytecode),
        "LC_ALL": "C.UTF-8",
        "CELLBLOCK_URL": server.url,
        "CELLBLOCK_TOKEN": TOKEN,
        "CELLBLOCK_SPACE": SPACE,
    }

    def call(*words: object, stdin: bytes = b"", code: int = 0, **variables: str) -> Ended:
        done = subprocess.run(
            [str(COMMAND), *map(str, words)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**environment, **variables},
            timeout=DEADLINE_SECONDS,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr.decode())
        assert ended.code == code, ended
        assert "Traceback" not in ended.err
        if code:
            assert ended.err.startswith("cellblock: ") and ended.err.count("\n") == 1, ended.err
        return ended

    return call


@pytest.fixture
def echo(server: Server) -> Iterator[str]:
    """A function that is there already."""
    body = {"name": "echo", "template": "python3-http",
            "source": {"code": base64.b64encode(ECHO.encode()).decode()}}  # fmt: skip
    assert server.client.post(f"/spaces/{SPACE}/functions", json=body).status_code == 201
    yield "echo"
    assert server.client.delete(f"/spaces/{SPACE}/functions/echo").status_code in (204, 404)


def test_a_file_a_folder_and_an_archive_can_be_deployed_and_called(run: Run, tmp_path: Path) -> None:
    """Slow for its commands: each is an interpreter that starts."""
    (tmp_path / "one-file.py").write_text("def handle(req):\n    return {'body': 'a file'}\n")
    folder = tmp_path / "a-folder"
    (folder / "lib").mkdir(parents=True)
    (folder / "handler.py").write_text(
        "import lib.words\ndef handle(req):\n    return {'body': lib.words.text}\n"
    )
    (folder / "lib/words.py").write_text("text = 'a folder'\n")
    handler = b"def handle(req):\n    return {'body': open('data.txt').read()}\n"
    (tmp_path / "packed.zip").write_bytes(zipped(("handler.py", handler), ("data.txt", b"an archive")))
    for path, name, says in (
        ("one-file.py", "one-file", "a file"),
        ("a-folder", "a-folder", "a folder"),
        ("packed.zip", "packed", "an archive"),
    ):
        deployed = run("deploy", path)
        assert deployed.text.startswith(f"created function {name} in space {SPACE}: version 1")
        assert run("invoke", name).out == says.encode()
    run("functions", "rm", "one-file", "a-folder", "packed")


def test_options_environment_and_runtime_of_a_deploy_are_in_force(
    run: Run, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    made = run(
        "deploy", "echo.py", "--name", "with-options", "--description", "Says it again", "--set", "timeout=7",
        "--set", "public=true", "--env", "REGION=eu", "--json",
    ).json  # fmt: skip
    assert made["created"] is True
    shown = run("functions", "show", "with-options", "--json").json
    assert shown == made["function"]
    assert (shown["options"], shown["env"], shown["description"]) == (
        {"timeout": 7.0, "public": True},
        {"REGION": "eu"},
        "Says it again",
    )
    assert shown["limits"]["timeout"] == 7.0
    assert run("invoke", "with-options", "--path", "/seen", "--json").json["body"].count('"region":"eu"') == 1
    assert "timeout" in run("functions", "show", "with-options").text
    run("functions", "rm", "with-options")


def test_data_goes_in_and_comes_out_byte_for_byte(run: Run, echo: str, tmp_path: Path) -> None:
    assert run("invoke", echo, "-d", "wörds").out == "wörds".encode()
    every_byte = bytes(range(256)) * 1000
    (tmp_path / "bytes.bin").write_bytes(every_byte)
    assert run("invoke", echo, "-d", "@bytes.bin").out == every_byte
    assert run("invoke", echo, "-d", "@-", stdin=every_byte).out == every_byte
    assert run("invoke", echo).out == b""


def test_method_path_query_and_headers_reach_the_function(run: Run, echo: str) -> None:
    seen = run(
        "invoke", echo, "-X", "put", "--path", "/seen", "-q", "a=1 & 2", "-q", "a=", "-H", "X-Own: one",
        "-H", "X-Own: two", "-d", '{"n": 1}',
    ).json  # fmt: skip
    assert seen == {
        "method": "PUT", "path": "/seen", "query": [["a", "1 & 2"], ["a", ""]], "x": ["one", "two"],
        "type": "application/json", "region": None, "body": '{"n": 1}',
    }  # fmt: skip


def test_an_answer_as_json_or_with_its_head_tells_status_and_headers(run: Run, echo: str) -> None:
    told = run("invoke", echo, "-d", "x", "--json").json
    headers = {name.lower(): value for name, value in told["headers"]}
    assert (told["status"], told["body"], headers["x-invoked"]) == (200, "x", "true")
    head, _, body = run("invoke", echo, "-d", "x", "--include").text.partition("\n\n")
    assert head.startswith("HTTP/1.1 200")
    assert "x-call-id: " in head.lower()
    assert body == "x"


def test_a_function_that_fails_is_exit_code_1_and_a_line_that_says_why(run: Run, echo: str) -> None:
    failed = run("invoke", echo, "--path", "/raise", code=1)
    assert "ValueError at line 5: on purpose" in failed.err
    assert failed.json["error"]["status"] == 500
    asked = run("invoke", echo, "--path", "/status", "-d", "418", code=1)
    assert (asked.out, "418" in asked.err) == (b"as asked", True)


def test_a_syntax_error_names_the_authors_own_file_and_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def handle(req):\n    return {\n")
    assert "broken.py:2: " in run("deploy", "broken.py", code=1).err
    run("functions", "show", "broken", code=1)


def test_versions_are_made_listed_and_gone_back_to(run: Run, tmp_path: Path) -> None:
    """Slow for its commands: each is an interpreter that starts."""
    path = tmp_path / "versioned.py"
    for number in (1, 2):
        path.write_text(f"def handle(req):\n    return {{'body': 'version {number}'}}\n")
        run("deploy", path)
    assert run("invoke", "versioned").text == "version 2"
    listed = run("functions", "versions", "versioned", "--json").json
    assert [(one["version"], one["active"]) for one in listed] == [(2, True), (1, False)]
    assert (
        run("functions", "rollback", "versioned").text
        == f"function versioned in space {SPACE} is at version 1\n"
    )
    assert run("invoke", "versioned").text == "version 1"
    assert run("functions", "rollback", "versioned", "2", "--json").json["version"] == 2
    assert "active" in run("functions", "versions", "versioned").text
    run("functions", "rollback", "versioned", "9", code=1)
    run("functions", "rm", "versioned")


def test_functions_are_listed_and_removed(run: Run, echo: str) -> None:
    names = [one["name"] for one in run("functions", "list", "--json").json]
    assert echo in names
    assert echo in run("functions", "list").text
    assert run("functions", "rm", echo).text == f"removed from space {SPACE}: {echo}\n"
    assert "function not found" in run("invoke", echo, code=1).err
    assert "not found" in run("functions", "show", echo, code=1).err


def test_code_comes_back_as_it_was_deployed(run: Run, echo: str, tmp_path: Path) -> None:
    assert run("code", echo).text == ECHO
    (tmp_path / "pair.zip").write_bytes(zipped(("handler.py", ECHO.encode()), ("more.py", b"x = 1\n")))
    run("deploy", "pair.zip")
    run("code", "pair", "-o", "back.zip")
    with zipfile.ZipFile(io.BytesIO((tmp_path / "back.zip").read_bytes())) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "handler.py": ECHO.encode(),
            "more.py": b"x = 1\n",
        }
    run("functions", "rm", "pair")


def test_secrets_and_variables_are_set_seen_listed_and_removed(run: Run, tmp_path: Path) -> None:
    """Slow for its commands: each is an interpreter that starts."""
    (tmp_path / "reads.py").write_text(
        "from function import secrets, variables\n"
        "def handle(req):\n"
        "    return {'body': {'secret': secrets.get('KEY'), 'variable': variables.get('LIMITS')}}\n"
    )
    run("deploy", "reads.py")
    run("secrets", "set", "KEY", "-", stdin=b"s3cret\n")
    run("variables", "set", "LIMITS", '{"high": 9}')
    assert run("invoke", "reads").json == {"secret": "s3cret", "variable": {"high": 9}}
    run("secrets", "set", "KEY", "changed")
    assert run("invoke", "reads").json["secret"] == "changed"
    secrets, variables = run("secrets", "list", "--json"), run("variables", "list", "--json")
    assert [one["name"] for one in secrets.json] == ["KEY"]
    assert "changed" not in secrets.text
    assert [(one["name"], one["value"]) for one in variables.json] == [("LIMITS", {"high": 9})]
    run("secrets", "rm", "KEY")
    run("variables", "rm", "LIMITS")
    assert run("invoke", "reads").json == {"secret": "", "variable": ""}
    assert "not found" in run("secrets", "rm", "KEY", code=1).err
    run("functions", "rm", "reads")


def test_errors_are_one_line_with_an_exit_code_for_who_is_at_fault(run: Run, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    assert "CELLBLOCK_TOKEN" in run("functions", "list", code=1, CELLBLOCK_TOKEN="wrong-token-0123456789").err
    assert "no-such-file" in run("deploy", "no-such-file.py", code=2).err
    assert "--set" in run("deploy", "echo.py", "--set", "timeout", code=2).err
    assert "http://127.0.0.1:9" in run("functions", "list", code=3, CELLBLOCK_URL="http://127.0.0.1:9").err


def test_version_names_the_server_it_talks_to(run: Run, server: Server) -> None:
    assert server.url in run("version").text
