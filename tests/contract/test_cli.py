"""The command ``cellblock``, run as people run it, against a real HTTP server that keeps what it is sent."""

from __future__ import annotations

import base64
import errno
import json
import os
import pty
import select
import shlex
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.http_recorder import Answer, HttpRecorder, json_answer, refusal

pytestmark = pytest.mark.slow  # each starts an interpreter, some several

COMMAND = Path(sys.executable).with_name("cellblock")
DEADLINE_SECONDS = 30
FUNCTION = {
    "id": "01J000000000000000000000AA",
    "space": "default",
    "name": "hello",
    "description": "",
    "template": "python3-http",
    "env": {},
    "options": {},
    "limits": {"timeout": 10.0},
    "digest": "ab" * 32,
    "version": 3,
    "status": "Running",
    "metrics": {"replicas": 2, "available_replicas": 1},
    "created_at": "2026-11-06T11:04:51",
    "updated_at": "2026-11-06T11:04:52",
}
LIST = "/spaces/default/functions"
CREATE = LIST
ONE = "/spaces/default/functions/hello"
INVOKE = "/spaces/default/functions/hello/invoke"


@dataclass(frozen=True)
class Ended:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The same modules are imported by every test: compile them once, wherever the environment forbids it.
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def server() -> Iterator[HttpRecorder]:
    with HttpRecorder() as recorder:
        yield recorder


@pytest.fixture
def environment(server: HttpRecorder, tmp_path: Path, bytecode: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPYCACHEPREFIX": str(bytecode),
        "LC_ALL": "C.UTF-8",
        "CELLBLOCK_URL": server.url,
        "CELLBLOCK_TOKEN": "token-of-the-test",
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    def call(*args: object, stdin: bytes = b"", **variables: str) -> Ended:
        done = subprocess.run(
            [str(COMMAND), *map(str, args)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**environment, **variables},
            timeout=DEADLINE_SECONDS,
        )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    return call


def on_a_terminal(
    environment: dict[str, str], *args: str, typed: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, bytes]:
    """Exit code and everything that a person would see of the command on a terminal of its own.

    ``typed`` has pairs of a question and what is typed once that is to be seen: what is typed before a hidden
    question is thrown away.
    """
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.OPOST  # line ends as they were written
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    with subprocess.Popen(
        [str(COMMAND), *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm", "COLUMNS": "100"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen, left = b"", list(typed)
        try:
            while select.select([ours], [], [], DEADLINE_SECONDS)[0]:
                seen += os.read(ours, 65536)
                if left and left[0][0] in seen:
                    os.write(ours, left.pop(0)[1])
            pytest.fail(f"no end within {DEADLINE_SECONDS} s; seen: {seen!r}")
        except OSError as error:
            assert error.errno == errno.EIO  # Linux: the other side is closed
        finally:
            os.close(ours)
            # Nothing, if it ended; a command that waits for ever must not make the test do so.
            process.send_signal(signal.SIGHUP)
        return process.wait(timeout=DEADLINE_SECONDS), seen


def one_line(ended: Ended, code: int) -> str:
    """The line of a failure, once it is sure that it is one and that nothing else was printed."""
    assert (ended.code, ended.out) == (code, b""), ended
    assert ended.err.startswith("cellblock: ")
    assert ended.err.count("\n") == 1
    return ended.err


def handler(folder: Path, text: str = "def handle(req):\n    return {}\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "handler.py").write_text(text)
    return folder


# deploy


def test_a_deploy_creates_a_function_and_says_how_to_call_it(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    (tmp_path / "hello.py").write_text("x")
    server.answer_json("POST", CREATE, 201, FUNCTION)

    ended = run("deploy", "hello.py")

    assert (ended.code, ended.err) == (0, "")
    (sent,) = server.requests
    assert sent.header("authorization") == "Bearer token-of-the-test"
    assert sent.json == {
        "name": "hello",
        "template": "python3-http",
        "source": {"code": base64.b64encode(b"x").decode()},
    }
    first, address, curl = ended.text.splitlines()
    assert first == "created function hello in space default: version 3, runtime python3-http"
    assert address.strip() == server.url + INVOKE
    assert shlex.split(curl)[-1] == server.url + INVOKE
    assert '"Authorization: Bearer $CELLBLOCK_TOKEN"' in curl


def test_a_deploy_that_is_warned_of_says_so_and_is_one_all_the_same(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    handler(tmp_path / "hello")
    server.answer_json("POST", CREATE, 201, {**FUNCTION, "warnings": ["queue.py hides\x1b[31m it"]})

    ended = run("deploy", "hello")

    assert ended.code == 0 and ended.text.startswith("created function hello")
    assert ended.err == "cellblock: warning: queue.py hides\\x1b[31m it\n"


def test_the_curl_line_of_a_deploy_calls_the_function_as_it_is_printed(
    run: Run, server: HttpRecorder, environment: dict[str, str], tmp_path: Path
) -> None:
    handler(tmp_path / "hello")
    server.answer_json("POST", CREATE, 201, FUNCTION)
    server.answer("POST", INVOKE, Answer(200, b"called"))
    curl = run("deploy", "hello").text.splitlines()[-1]

    done = subprocess.run(
        ["sh", "-c", f"{curl.strip()} -sS"], env=environment, capture_output=True, timeout=DEADLINE_SECONDS
    )

    assert done.stdout == b"called", done
    assert server.requests[-1].header("authorization") == "Bearer token-of-the-test"


def test_a_deploy_of_what_exists_updates_it_with_what_was_given_and_nothing_else(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    handler(tmp_path / "hello")
    server.answer("POST", CREATE, refusal(409, "This function already exists"))
    server.answer_json("GET", ONE, 200, FUNCTION | {"options": {"memory": 64}, "env": {"OLD": "1"}})
    after = {"options": {"timeout": 2.5, "public": True}, "env": {"A": "b=c"}, "digest": "cd" * 32}
    server.answer_json("PATCH", ONE, 200, FUNCTION | after)

    given = ("--set", "timeout=2.5", "--set", "public=true", "--env", "A=b=c")
    ended = run("deploy", "hello", *given, "--unset", "memory", "--unset-env", "OLD")

    assert ended.code == 0
    assert ended.text.startswith("updated function hello")
    changed = (
        "  changed: code; memory 64 → default; public default → true; timeout default → 2.5; "
        "env A none → b=c; env OLD 1 → none"
    )
    assert ended.text.splitlines()[1] == changed
    assert [sent.method for sent in server.requests] == ["POST", "GET", "PATCH"]
    assert set(server.requests[2].json) == {"source", "env", "options"}
    assert server.requests[2].json["options"] == {"timeout": 2.5, "public": True, "memory": None}
    assert server.requests[2].json["env"] == {"A": "b=c", "OLD": None}


def test_reset_leaves_only_what_is_given_and_the_same_again_is_told_as_unchanged(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    handler(tmp_path / "hello")
    server.answer("POST", CREATE, refusal(409, "This function already exists"))
    server.answer_json("GET", ONE, 200, FUNCTION)
    server.answer_json("PUT", ONE, 200, FUNCTION)

    ended = run("deploy", "hello", "--reset", "--set", "timeout=3")

    assert server.requests[2].json["options"] == {"timeout": 3}
    assert server.requests[2].json["env"] == {}
    assert ended.text.startswith("nothing changed: version ") and "changed: code" not in ended.text


def test_all_options_of_a_deploy_reach_the_server(run: Run, server: HttpRecorder, tmp_path: Path) -> None:
    handler(tmp_path / "hello")
    server.answer_json("POST", "/spaces/demo/functions", 201, FUNCTION)

    ended = run(
        *("deploy", "hello/handler.py", "--name", "other", "--space", "demo", "--runtime", "python3.12"),
        *("--description", "Zoë's", "--json"),
    )

    assert ended.code == 0
    sent = server.requests[0].json
    assert (sent["name"], sent["template"], sent["description"]) == ("other", "python3.12", "Zoë's")
    told = json.loads(ended.out)
    assert told["created"] is True
    assert told["url"] == f"{server.url}/spaces/demo/functions/other/invoke"
    assert told["function"] == FUNCTION


def test_a_syntax_error_is_shown_with_its_file_and_line(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    handler(tmp_path / "hello")
    server.answer("POST", CREATE, refusal(422, "SyntaxError: invalid syntax", {"line": 12}))

    assert one_line(run("deploy", "hello"), 1) == (
        "cellblock: hello/handler.py:12: SyntaxError: invalid syntax\n"
    )


def test_a_deploy_whose_connection_breaks_is_not_sent_again(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    handler(tmp_path / "hello")
    server.answer("POST", CREATE, Answer(hang_up=True))

    assert "may have happened" in one_line(run("deploy", "hello"), 3)
    assert len(server.requests) == 1


# invoke


def test_an_invocation_writes_the_answers_bytes_and_nothing_else(run: Run, server: HttpRecorder) -> None:
    body = bytes(range(256)) * 300
    server.answer("POST", INVOKE, Answer(200, body, [("Content-Encoding", "gzip")]))

    ended = run("invoke", "hello")

    assert (ended.code, ended.out, ended.err) == (0, body, "")
    assert server.requests[0].body == b""
    assert server.requests[0].header("content-type") is None


def test_method_headers_query_and_path_reach_the_function(run: Run, server: HttpRecorder) -> None:
    target = f"{INVOKE}/market/a%20b/%2E%2E?company=Acme&company=&x=%26"
    server.answer("GET", target, Answer(200, b"ok"))

    ended = run(
        *("invoke", "hello", "--method", "get", "--path", "/market/a b/..", "--query", "company=Acme"),
        *("--query", "company=", "-q", "x=&", "--header", "X-Tag: one", "-H", "x-tag: two"),
    )

    assert ended.out == b"ok", ended
    assert [value for name, value in server.requests[0].headers if name == "x-tag"] == ["one", "two"]


@pytest.mark.parametrize(
    ("data", "stdin", "body", "content_type"),
    [
        ('{"a": 1}', b"", b'{"a": 1}', "application/json"),
        ("hello", b"", b"hello", "text/plain; charset=utf-8"),
        ("@-", b"\xff\0", b"\xff\0", "application/octet-stream"),
        ("@body", b"", b"from a file", "text/plain; charset=utf-8"),
    ],
)
def test_data_comes_from_the_argument_a_file_or_standard_input(
    run: Run, server: HttpRecorder, tmp_path: Path, data: str, stdin: bytes, body: bytes, content_type: str
) -> None:
    (tmp_path / "body").write_bytes(b"from a file")
    server.answer("POST", INVOKE, Answer(200))

    assert run("invoke", "hello", "-d", data, stdin=stdin).code == 0

    assert server.requests[0].body == body
    assert server.requests[0].header("content-type") == content_type


def test_a_header_of_the_callers_own_replaces_ours(run: Run, server: HttpRecorder) -> None:
    server.answer("POST", INVOKE, Answer(200))

    run("invoke", "hello", "-d", "{}", "-H", "content-type: a/b", "-H", "Authorization: Basic eA==")

    sent = server.requests[0]
    assert [value for name, value in sent.headers if name == "content-type"] == ["a/b"]
    assert [value for name, value in sent.headers if name == "authorization"] == ["Basic eA=="]


def test_an_answer_of_400_or_more_ends_with_1_its_message_on_stderr_and_its_body_on_stdout(
    run: Run, server: HttpRecorder
) -> None:
    error = refusal(500, "ZeroDivisionError at line 9: division by zero")
    server.answer("POST", INVOKE, Answer(500, error.body, [("X-Call-Id", "01J0"), ("Retry-After", "2")]))

    ended = run("invoke", "hello")

    assert (ended.code, ended.out) == (1, error.body)
    assert ended.err == (
        "cellblock: invoking hello ended with 500: ZeroDivisionError at line 9: division by zero "
        "(call 01J0); try again in 2 s\n"
    )


def test_include_prints_status_and_headers_before_the_body(run: Run, server: HttpRecorder) -> None:
    server.answer("POST", INVOKE, Answer(201, b"body", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))

    ended = run("invoke", "hello", "--include")

    head, _, body = ended.text.partition("\n\n")
    assert head.splitlines()[0] == "HTTP/1.1 201 Created"
    assert [line for line in head.splitlines() if "Cookie" in line] == ["Set-Cookie: a=1", "Set-Cookie: b=2"]
    assert body == "body"


@pytest.mark.parametrize(
    ("body", "key", "expected"), [(b"text", "body", "text"), (b"\xff", "body_base64", "/w==")]
)
def test_an_invocation_as_json_holds_status_headers_and_body(
    run: Run, server: HttpRecorder, body: bytes, key: str, expected: str
) -> None:
    server.answer("POST", INVOKE, Answer(200, body, [("X-Tag", "a")]))

    told = json.loads(run("invoke", "hello", "--json").out)

    assert told["status"] == 200
    assert ["X-Tag", "a"] in told["headers"]
    assert told[key] == expected


def test_an_invocation_is_never_sent_twice(run: Run, server: HttpRecorder) -> None:
    server.answer("GET", INVOKE, Answer(hang_up=True))

    one_line(run("invoke", "hello", "--method", "GET"), 3)
    assert len(server.requests) == 1


# functions, code


def test_the_list_follows_all_pages(run: Run, server: HttpRecorder) -> None:
    first = {"data": [{**FUNCTION, "name": "a"}], "paging": {"next_cursor": "c/1", "previous_cursor": None}}
    last = {"data": [{**FUNCTION, "name": "b"}], "paging": {"next_cursor": None, "previous_cursor": "x"}}
    server.answer_json("GET", LIST, 200, first)
    server.answer_json("GET", f"{LIST}?cursor=c%2F1", 200, last)

    table = run("functions", "list").text.splitlines()
    names = [entry["name"] for entry in json.loads(run("functions", "list", "--json").out)]

    assert table[0].split() == ["NAME", "STATUS", "RUNTIME", "VERSION", "READY", "UPDATED"]
    assert table[1].split() == ["a", "Running", "python3-http", "3", "1/2", "2026-11-06T11:04:52"]
    assert len(table) == 3
    assert names == ["a", "b"]


def test_an_empty_list_says_so_beside_the_output(run: Run, server: HttpRecorder) -> None:
    server.answer_json("GET", LIST, 200, {"data": [], "paging": {}})

    ended = run("functions", "list")

    assert (ended.code, ended.out, ended.err) == (0, b"", "no functions in space default\n")


def test_a_piped_table_has_no_colour_and_is_not_cut(run: Run, server: HttpRecorder) -> None:
    long = "x" * 300
    server.answer_json("GET", ONE, 200, {**FUNCTION, "description": long})

    ended = run("functions", "show", "hello", FORCE_COLOR="1", COLUMNS="40")

    assert "\x1b" not in ended.text
    assert long in ended.text
    assert "limits.timeout" in ended.text


def test_functions_are_removed_in_turn_and_a_failure_says_which_are_gone(
    run: Run, server: HttpRecorder
) -> None:
    server.answer("DELETE", ONE, Answer(204))
    server.answer("DELETE", f"{LIST}/gone", refusal(404, "function not found"))

    assert run("functions", "rm", "hello").text == "removed from space default: hello\n"
    assert one_line(run("functions", "rm", "hello", "gone"), 1) == (
        "cellblock: gone: function not found; already removed: hello\n"
    )


def test_versions_are_listed_and_one_is_made_active_again(run: Run, server: HttpRecorder) -> None:
    rows = [
        {"version": 2, "digest": "cd" * 32, "template": "python3.12", "created_at": "t", "active": True},
        {"version": 1, "digest": "ab" * 32, "template": "python3.12", "created_at": "t", "active": False},
    ]
    server.answer_json("GET", f"{ONE}/versions", 200, {"data": rows})
    server.answer_json("POST", f"{ONE}/rollback", 200, {**FUNCTION, "version": 1})

    listed = run("functions", "versions", "hello").text.splitlines()
    before = run("functions", "rollback", "hello")
    named = run("functions", "rollback", "hello", "1")

    assert [line.split()[0] for line in listed] == ["VERSION", "2", "1"]
    assert ["active" in line for line in listed] == [False, True, False]
    assert before.text == named.text == "function hello in space default is at version 1\n"
    assert [sent.json for sent in server.requests[1:]] == [{}, {"version": 1}]


def test_code_is_written_as_it_was_deployed(run: Run, server: HttpRecorder, tmp_path: Path) -> None:
    code = "def handle(req): return {'body': 'ü'}\r\n".encode()
    server.answer_json("GET", f"{ONE}/code", 200, {"code": base64.b64encode(code).decode()})

    assert run("code", "hello").out == code
    assert run("code", "hello", "-o", "back.py").out == b""
    assert (tmp_path / "back.py").read_bytes() == code
    assert json.loads(run("code", "hello", "--json").out)["kind"] == "handler.py"


def test_code_that_cannot_be_written_or_read_is_one_line(run: Run, server: HttpRecorder) -> None:
    server.answer_json("GET", f"{ONE}/code", 200, {"code": "eA=="})
    server.answer_json("GET", f"{LIST}/odd/code", 200, {"code": "&&&"})

    assert "cannot write" in one_line(run("code", "hello", "-o", "no/such/folder"), 2)
    assert "not base64" in one_line(run("code", "odd"), 1)


# secrets, variables


@pytest.mark.parametrize(
    ("args", "stdin", "value"),
    [
        (("s3cret",), b"", "s3cret"),
        (("-",), b"two\nlines\n", "two\nlines"),
        (("-",), b"windows\r\n", "windows"),
        (("--", "-x"), b"", "-x"),
    ],
)
def test_a_secret_comes_from_the_argument_or_standard_input(
    run: Run, server: HttpRecorder, args: tuple[str, ...], stdin: bytes, value: str
) -> None:
    server.answer("PUT", "/spaces/default/secrets/KEY", Answer(201))

    ended = run("secrets", "set", "KEY", *args, stdin=stdin)

    assert (ended.code, ended.text) == (0, "set secret KEY in space default\n")
    assert ("other users may have seen" in ended.err) == (args != ("-",)), "only an argument can be seen"
    assert server.requests[0].json == {"value": value}


def test_a_secret_is_asked_for_on_a_terminal_and_not_shown(
    server: HttpRecorder, environment: dict[str, str]
) -> None:
    server.answer("PUT", "/spaces/default/secrets/KEY", Answer(204))

    questions = [(b"Value of KEY: ", b"s3cret\n"), (b"Once more: ", b"s3cret\n")]
    code, seen = on_a_terminal(environment, "secrets", "set", "KEY", typed=questions)

    assert code == 0, seen
    assert server.requests[0].json == {"value": "s3cret"}
    assert b"set secret KEY" in seen
    assert b"s3cret" not in seen


def test_a_login_is_asked_for_on_a_terminal_and_not_shown(
    server: HttpRecorder, environment: dict[str, str]
) -> None:
    server.answer("GET", "/whoami", Answer(200, b'{"name": "key:1", "space": "demo"}'))

    asked = f"Token for {server.url}: ".encode()
    code, seen = on_a_terminal(environment, "login", typed=[(asked, b"s3cret-token\n")])

    assert code == 0, seen
    assert dict(server.requests[0].headers)["authorization"] == "Bearer s3cret-token"
    assert b"as key:1, for space demo" in seen
    assert b"s3cret-token" not in seen


def test_a_secret_without_a_value_and_without_a_terminal_is_a_usage_error(
    run: Run, server: HttpRecorder
) -> None:
    for kind in ("secrets", "variables"):
        assert "a value for KEY is missing" in one_line(run(kind, "set", "KEY"), 2)
    assert server.requests == []


def test_a_value_comes_from_a_file_without_the_line_end_of_its_end(
    run: Run, server: HttpRecorder, tmp_path: Path
) -> None:
    server.answer("PUT", "/spaces/default/secrets/KEY", Answer(201))
    server.answer("PUT", "/spaces/default/variables/LIMITS", Answer(201))
    pem, limits = tmp_path / "key.pem", tmp_path / "limits.json"
    pem.write_bytes(b"-----BEGIN-----\nabc\n")
    limits.write_bytes(b'{"most": 9}\n')

    assert run("secrets", "set", "KEY", "--file", pem).err == ""
    assert run("variables", "set", "LIMITS", "--file", limits).code == 0
    assert [one.json["value"] for one in server.requests] == ["-----BEGIN-----\nabc", {"most": 9}]
    assert "exclude one another" in one_line(run("secrets", "set", "KEY", "v", "--file", pem), 2)
    assert "cannot read" in one_line(run("secrets", "set", "KEY", "--file", tmp_path / "none"), 2)
    pem.write_bytes(b"x" * (64 * 1024 + 3))
    assert "more than" in one_line(run("secrets", "set", "KEY", "--file", pem), 2)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), {}),
        (("--function", "pay", "--function", "refund"), {"functions": ["pay", "refund"]}),
        (("--every-function",), {"functions": None}),
        (("--no-function",), {"functions": []}),
    ],
)
@pytest.mark.parametrize("kind", ["secrets", "variables"])
def test_a_value_is_for_the_functions_that_are_named(
    run: Run, server: HttpRecorder, kind: str, args: tuple[str, ...], says: dict[str, object]
) -> None:
    server.answer("PUT", f"/spaces/default/{kind}/KEY", Answer(201))
    assert run(kind, "set", "KEY", "-", *args, stdin=b"v").code == 0
    assert server.requests[0].json == {"value": "v", **says}


ROTATING, ROTATED = {"keys": ["old", "new"], "left": 7}, {"keys": ["new"], "left": 0}


def test_a_key_is_rotated_request_by_request_until_one_is_left(run: Run, server: HttpRecorder) -> None:
    for answer in (ROTATING, ROTATED):
        server.answer_json("POST", "/sealing-key/rotate", 200, answer)
    ended = run("keys", "rotate")
    assert ended.code == 0 and "sealed by a new key (new)" in ended.text
    assert len(server.requests) == 2
    assert json.loads(run("keys", "rotate", "--json").out) == ROTATED


@pytest.mark.parametrize(
    ("answer", "says"), [(ROTATING, "does not get on: 7 values are left"), ({"keys": []}, "another form")]
)
def test_a_rotation_that_does_not_end_is_told(
    run: Run, server: HttpRecorder, answer: dict[str, object], says: str
) -> None:
    server.answer_json("POST", "/sealing-key/rotate", 200, answer)
    assert says in one_line(run("keys", "rotate"), 1)


@pytest.mark.parametrize(
    ("args", "value"),
    [
        (("eu-west-1",), "eu-west-1"),
        (("3",), 3),
        (("3", "--text"), "3"),
        (('{"a": [1, null]}',), {"a": [1, None]}),
        (("null",), None),
        (("NaN",), "NaN"),
    ],
)
def test_a_variable_is_json_where_it_can_be(
    run: Run, server: HttpRecorder, args: tuple[str, ...], value: object
) -> None:
    server.answer("PUT", "/spaces/default/variables/LIMIT", Answer(204))

    assert run("variables", "set", "LIMIT", *args).code == 0
    assert server.requests[0].json == {"value": value}


def test_values_are_listed_and_removed(run: Run, server: HttpRecorder) -> None:
    server.answer_json("GET", "/spaces/s/secrets", 200, {"data": [{"name": "KEY", "updated_at": "t"}]})
    variables = [
        {"name": "N", "value": 3, "updated_at": "t", "functions": []},
        {"name": "T", "value": "3", "updated_at": "t", "functions": ["pay", "refund"]},
    ]
    server.answer_json("GET", "/spaces/s/variables", 200, {"data": variables})
    server.answer("DELETE", "/spaces/s/secrets/KEY", Answer(204))
    server.answer("DELETE", "/spaces/s/variables/N", Answer(204))

    listed = ["NAME", "FUNCTIONS", "UPDATED", "KEY", "all", "t"]
    assert run("secrets", "list", "-s", "s").text.split() == listed
    table = run("variables", "list", CELLBLOCK_SPACE="s").text.splitlines()
    assert [line.split() for line in table] == [
        ["NAME", "VALUE", "FUNCTIONS", "UPDATED"],
        ["N", "3", "none", "t"],
        ["T", '"3"', "pay,", "refund", "t"],
    ]
    assert json.loads(run("variables", "list", "-s", "s", "--json").out) == variables
    assert run("secrets", "rm", "KEY", "-s", "s").text == "removed from space s: KEY\n"
    assert json.loads(run("variables", "rm", "N", "-s", "s", "--json").out) == {"removed": ["N"]}


# Failures


def test_a_server_that_is_not_there_is_3_and_says_how_to_start_one(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, nobody else can
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        line = one_line(run("functions", "list", "--url", url), 3)

    assert f"cannot reach the server at {url}: " in line
    assert "cellblock serve" in line


def test_a_reading_request_is_tried_again_when_its_connection_breaks(run: Run, server: HttpRecorder) -> None:
    server.answer("GET", LIST, Answer(hang_up=True))
    server.answer("GET", LIST, json_answer(200, {"data": []}))

    assert run("functions", "list").code == 0
    assert len(server.requests) == 2


def test_a_reading_request_is_not_tried_for_ever(run: Run, server: HttpRecorder) -> None:
    server.answer("GET", LIST, Answer(hang_up=True))

    assert "broke" in one_line(run("functions", "list"), 3)
    assert len(server.requests) == 3


def test_a_call_that_takes_longer_than_it_may_is_3(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        line = one_line(run("invoke", "hello", "--wait", "0.3", "--url", url), 3)

    assert "did not answer in time" in line


@pytest.mark.parametrize(("token", "told"), [("", "wants a token"), ("wrong", "does not know this token")])
def test_a_401_says_where_the_token_is(run: Run, server: HttpRecorder, token: str, told: str) -> None:
    for method, target in (("GET", LIST), ("POST", INVOKE)):
        server.answer(method, target, refusal(401, "Unauthenticated"))

    lines = [
        one_line(run("functions", "list", CELLBLOCK_TOKEN=token), 1),
        run("invoke", "hello", CELLBLOCK_TOKEN=token).err,
    ]

    for line in lines:
        assert told in line
        assert "CELLBLOCK_TOKEN=$(sudo cat DATA_DIR/admin-token)" in line


def test_the_servers_refusal_is_passed_on_in_one_line(run: Run, server: HttpRecorder) -> None:
    answer = refusal(429, "too much\nat once")
    server.answer("GET", LIST, Answer(429, answer.body, [("Retry-After", "7")]))

    assert one_line(run("functions", "list"), 1) == "cellblock: too much\\nat once; try again in 7 s\n"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>"),
        Answer(502, b"<html>"),
        Answer(301, b"", [("Location", "http://elsewhere.invalid/")]),
        json_answer(200, [1]),
        json_answer(200, {"data": 3}),
        json_answer(200, {"data": [3]}),
        Answer(200, b"[" * 100_000),
    ],
)
def test_an_answer_that_is_not_cellblocks_is_one_line(run: Run, server: HttpRecorder, answer: Answer) -> None:
    server.answer("GET", LIST, answer)

    assert "check that" in one_line(run("functions", "list"), 1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "args",
    [
        ("depoy",),
        ("deploy",),
        ("deploy", "absent"),
        ("deploy", "--nme"),
        ("invoke",),
        ("invoke", ""),
        ("invoke", "hello", "--header", "none"),
        ("invoke", "hello", "--query", "none"),
        ("invoke", "hello", "--data", "@absent"),
        ("invoke", "hello", "--method", "GET /"),
        ("invoke", "hello", "--wait", "0"),
        ("functions", "lst"),
        ("functions", "rollback", "hello", "zero"),
        ("functions", "rollback", "hello", "0"),
        ("functions", "list", "--url", "nowhere"),
        ("functions", "list", "--token", "a b"),
        ("variables", "set", "NAME"),
        ("\x1b[31m",),
    ],
)
def test_a_wrong_command_line_is_2_and_one_line(
    run: Run, server: HttpRecorder, args: tuple[str, ...]
) -> None:
    assert "\x1b" not in one_line(run(*args), 2)
    assert server.requests == []


def test_a_broken_configuration_file_is_2_and_one_line(run: Run, environment: dict[str, str]) -> None:
    path = Path(environment["XDG_CONFIG_HOME"]) / "cellblock/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[server\n")

    assert str(path) in one_line(run("functions", "list"), 2)


def test_the_configuration_file_names_server_token_and_space(
    run: Run, server: HttpRecorder, environment: dict[str, str]
) -> None:
    path = Path(environment["XDG_CONFIG_HOME"]) / "cellblock/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'[server]\nurl = "{server.url}"\ntoken = "from-the-file"\nspace = "demo"\n')
    server.answer_json("GET", "/spaces/demo/functions", 200, {"data": []})

    ended = run("functions", "list", CELLBLOCK_URL="", CELLBLOCK_TOKEN="")

    assert ended.code == 0, ended
    assert server.requests[0].header("authorization") == "Bearer from-the-file"


def test_a_reader_that_stops_reading_ends_the_command_in_silence(
    server: HttpRecorder, environment: dict[str, str]
) -> None:
    server.answer("POST", INVOKE, Answer(200, b"x" * 5_000_000))
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [str(COMMAND), "invoke", "hello"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=DEADLINE_SECONDS,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, b"")


def test_an_output_that_is_full_is_2_and_one_line(server: HttpRecorder, environment: dict[str, str]) -> None:
    server.answer_json("GET", LIST, 200, {"data": [FUNCTION]})
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [str(COMMAND), "functions", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=DEADLINE_SECONDS,
        )

    assert (done.returncode, done.stderr) == (
        2,
        b"cellblock: cannot write the output: No space left on device\n",
    )


@pytest.mark.parametrize(
    "variables",
    [{"HTTP_PROXY": "nonsense://x"}, {"ALL_PROXY": "socks5://127.0.0.1:9"}, {"SSL_CERT_FILE": "/absent"}],
)
def test_a_proxy_or_certificate_setting_that_cannot_be_used_is_2_and_one_line(
    run: Run, variables: dict[str, str]
) -> None:
    ended = run("functions", "list", "--url", "https://server.invalid", **variables)

    assert "cannot use the environment's proxy or certificates" in one_line(ended, 2)


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(run: Run, server: HttpRecorder) -> None:
    server.answer_json("GET", LIST, 200, {"data": []})

    assert run("functions", "list", HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9").code == 0


# Terminals

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e[red]x[/red]"


def visible(seen: bytes) -> str:
    """What came to the terminal without the escape sequences of rich's own colours."""
    text = seen.decode()
    for own in ("\x1b[0m", "\x1b[1m", "\x1b[1;39m", "\x1b[2m", "\x1b[22m"):
        text = text.replace(own, "")
    return text


@pytest.mark.parametrize(
    ("args", "method", "target", "answer"),
    [
        (("invoke", "hello"), "POST", INVOKE, Answer(200, HOSTILE.encode() + b"\x9b\xff")),
        (("invoke", "hello"), "POST", INVOKE, refusal(500, HOSTILE)),
        (("invoke", "hello", "--json"), "POST", INVOKE, Answer(200, HOSTILE.encode())),
        (("functions", "list"), "GET", LIST, json_answer(200, {"data": [{"name": HOSTILE}]})),
        (
            ("functions", "show", "hello"),
            "GET",
            ONE,
            json_answer(200, {HOSTILE: HOSTILE, "env": {HOSTILE: "x"}}),
        ),
        (("functions", "list"), "GET", LIST, refusal(400, HOSTILE)),
        (
            ("code", "hello"),
            "GET",
            f"{ONE}/code",
            json_answer(200, {"code": base64.b64encode(HOSTILE.encode()).decode()}),
        ),
    ],
)
def test_nothing_from_the_server_can_steer_the_terminal(
    server: HttpRecorder,
    environment: dict[str, str],
    args: tuple[str, ...],
    method: str,
    target: str,
    answer: Answer,
) -> None:
    server.answer(method, target, answer)

    _, seen = on_a_terminal(environment, *args)

    shown = visible(seen)
    assert not {character for character in shown if character < " " and character not in "\n\r\t"}, shown
    assert "\u202e" not in shown
    assert "]0;owned" in shown.replace("\n", "").replace(" ", "")
    assert "[red]x[/red]" in shown.replace("\n", "")


def test_a_zip_is_not_poured_onto_a_terminal(server: HttpRecorder, environment: dict[str, str]) -> None:
    server.answer_json("GET", f"{ONE}/code", 200, {"code": base64.b64encode(b"PK\x03\x04\0").decode()})

    code, seen = on_a_terminal(environment, "code", "hello")

    assert code == 2
    assert b"cellblock code hello -o hello.zip" in seen


# The command as a whole


def test_version_names_client_and_server(run: Run, server: HttpRecorder) -> None:
    server.answer_json("GET", "/healthz", 200, {"status": "ok", "version": "9.8.7"})

    ended = run("version")
    told = json.loads(run("version", "--json").out)

    assert ended.text.splitlines()[1] == f"server 9.8.7 at {server.url}"
    assert (told["server"], told["url"]) == ("9.8.7", server.url)
    assert server.requests[0].header("authorization") is None


@pytest.mark.parametrize("args", [("version",), ("--help",), ("invoke", "--help")])
def test_small_commands_import_nothing_heavy(run: Run, args: tuple[str, ...]) -> None:
    ended = run(*args, PYTHONPROFILEIMPORTTIME="1", CELLBLOCK_URL="http://127.0.0.1:9")

    imported = {line.rpartition("|")[2].strip() for line in ended.err.splitlines()}
    heavy = {
        "httpx",
        "fastapi",
        "sqlalchemy",
        "gunicorn",
        "supervisor.settings.declarations",
        "supervisor.runtimes",
    }
    assert ended.code == 0
    assert "supervisor.cli.main" in imported
    assert not imported & (heavy | ({"rich"} if args == ("version",) else set()))


def test_the_command_alone_prints_its_help(run: Run) -> None:
    assert run().out == run("--help").out
    assert b"deploy" in run().out
