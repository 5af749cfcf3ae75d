"""How arguments, settings and answers are read by the command line: the pure pieces."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli import arguments, output
from supervisor.cli.client.connection_config import (
    DEFAULT_URL,
    ServerTarget,
    checked_url,
    read_config,
    resolve_target,
)
from supervisor.cli.client.http_client import Client, envelope
from supervisor.cli.command_errors import USAGE, CommandFailure
from supervisor.cli.commands.invoke_command import call_path, call_query


def test_a_scalar_is_json_or_toml_and_everything_else_is_text() -> None:
    texts = {
        "true": True,
        "false": False,
        "null": None,
        "3": 3,
        "-4": -4,
        "0.5": 0.5,
        "1e3": 1000.0,
        "1_000": 1000,
        '"3"': "3",
        "'quoted'": "quoted",
        "host": "host",
        "": "",
        " ": " ",
        "nan": "nan",
        "inf": "inf",
        "1e999": "1e999",
        "[1]": "[1]",
        '{"a": 1}': '{"a": 1}',
        "1 # one": "1 # one",
        "2020-01-01": "2020-01-01",
        "1\nx = 2": "1\nx = 2",
        "9" * 5000: "9" * 5000,
    }
    for text, expected in texts.items():
        value = arguments.scalar(text)
        assert (value, type(value)) == (expected, type(expected)), text


@given(st.text())
def test_any_scalar_can_be_sent_as_json(text: str) -> None:
    assert not isinstance(arguments.scalar(text), dict | list)
    json.dumps(arguments.scalar(text), allow_nan=False)


def test_options_are_read_by_key() -> None:
    assert arguments.options(["timeout=2.5", "network=host", "public=true", "note=a=b"]) == {
        "timeout": 2.5,
        "network": "host",
        "public": True,
        "note": "a=b",
    }


@pytest.mark.parametrize("texts", [["timeout"], ["=3"], ["a=1", "a=2"]])
def test_a_setting_without_a_key_without_a_value_or_given_twice_is_refused(texts: list[str]) -> None:
    with pytest.raises(CommandFailure) as caught:
        arguments.options(texts)
    assert caught.value.exit_code == USAGE


def test_json_is_that_of_the_standard() -> None:
    assert arguments.json_value('{"a": [1, "x"]}') == {"a": [1, "x"]}
    for text in ("NaN", "Infinity", "1e999", "{", "", "[" * 100_000):
        with pytest.raises(ValueError):
            arguments.json_value(text)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": 1}', b"application/json"),
        (b"3", b"application/json"),
        (b"hello", b"text/plain; charset=utf-8"),
        (b"NaN", b"text/plain; charset=utf-8"),
        (b"[" * 100_000, b"text/plain; charset=utf-8"),
        (b"\xff\xd8\xff", b"application/octet-stream"),
    ],
)
def test_the_content_type_of_data_follows_from_the_data(data: bytes, expected: bytes) -> None:
    assert arguments.content_type(data) == expected


def test_a_header_is_a_name_a_colon_and_a_value() -> None:
    assert arguments.header("X-Tag:  a: b ") == (b"X-Tag", b"a: b")
    assert arguments.header("X-Empty:") == (b"X-Empty", b"")
    assert arguments.header("X-Name: Zoë") == (b"X-Name", "Zoë".encode())


@pytest.mark.parametrize(
    "text",
    ["no colon", ": v", "a b: v", "X: a\r\nEvil: b", "X: a\0", "X: \x1b[31m", "Content-Length: 3", "ä: v"],
)
def test_a_header_that_would_break_the_request_is_refused(text: str) -> None:
    with pytest.raises(CommandFailure) as caught:
        arguments.header(text)
    assert caught.value.exit_code == USAGE


def test_data_is_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\0\xff")

    assert arguments.read_data(None) is None
    assert arguments.read_data("") == b""
    assert arguments.read_data("Zoë") == "Zoë".encode()
    assert arguments.read_data("\udcff") == b"\xff"
    assert arguments.read_data(f"@{tmp_path / 'body'}") == b"\0\xff"
    with pytest.raises(CommandFailure, match="No such file"):
        arguments.read_data(f"@{tmp_path / 'absent'}")


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"x" * 10)

    assert arguments.bounded_file(path, 10) == b"x" * 10
    with pytest.raises(CommandFailure, match="larger than 9 bytes"):
        arguments.bounded_file(path, 9)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ""),
        ("", ""),
        ("/market/today", "/market/today"),
        ("market", "/market"),
        ("/a b/ü?#%", "/a%20b/%C3%BC%3F%23%25"),
        ("/../../other/invoke", "/%2E%2E/%2E%2E/other/invoke"),
        ("/./x", "/%2E/x"),
        ("//x/", "//x/"),
    ],
)
def test_the_path_of_a_call_reaches_the_function_as_it_was_typed(path: str, expected: str) -> None:
    assert call_path(path) == expected


def test_a_query_keeps_order_repeats_and_blanks() -> None:
    assert call_query([]) == ""
    assert call_query(["b=2", "a=", "b=1&x", "ü=ß"]) == "?b=2&a=&b=1%26x&%C3%BC=%C3%9F"


def test_options_go_before_the_environment_and_that_before_the_file() -> None:
    environment = {"CELLBLOCK_URL": "http://env:1", "CELLBLOCK_TOKEN": "env", "CELLBLOCK_SPACE": "env"}
    config = {"url": "http://file:1", "token": "file", "space": "file"}

    assert resolve_target(None, None, None, {}, {}) == ServerTarget(DEFAULT_URL, None, "default")
    assert resolve_target(None, None, None, {}, config) == ServerTarget("http://file:1", "file", "file")
    assert resolve_target(None, None, None, environment, config) == ServerTarget("http://env:1", "env", "env")
    assert resolve_target("http://o:1", "o", "o", environment, config) == ServerTarget("http://o:1", "o", "o")
    assert resolve_target(None, None, None, {"CELLBLOCK_URL": ""}, {}).url == DEFAULT_URL


def test_the_files_token_is_not_sent_to_a_server_that_the_file_does_not_name() -> None:
    config = {"url": "http://mine:1", "token": "secret"}

    assert resolve_target("http://other:1", None, None, {}, config).token is None
    assert resolve_target("http://mine:1/", None, None, {}, config).token == "secret"
    assert resolve_target(None, None, None, {}, {"token": "secret"}).token == "secret"
    assert resolve_target("http://other:1", None, None, {}, {"token": "secret"}).token is None


def test_a_target_does_not_show_its_token() -> None:
    assert "secret" not in repr(ServerTarget(DEFAULT_URL, "secret", "default"))


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8080", "ftp://x", "http://", "http://u:p@x", "http://x?a=b", "http://x:99999", "http://a b"],
)
def test_a_url_that_no_server_has_is_refused(url: str) -> None:
    with pytest.raises(CommandFailure) as caught:
        checked_url(url)
    assert caught.value.exit_code == USAGE


def test_a_url_may_have_a_prefix_and_loses_its_last_slash() -> None:
    assert checked_url("https://host.example/cells/") == "https://host.example/cells"
    assert checked_url("http://[::1]:8080") == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("http://x.y", False),
    ],
)
def test_this_machines_server_is_known_by_its_address(url: str, expected: bool) -> None:
    assert ServerTarget(url, None, "default").is_loopback is expected


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", "x" * 5000])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(CommandFailure) as caught:
        resolve_target(None, token, None, {}, {})
    assert caught.value.exit_code == USAGE
    assert token not in caught.value.message


def test_a_configuration_file_holds_url_token_and_space(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_config(path) == {}

    path.write_text('[server]\nurl = "http://x:1"\ntoken = "t"\nspace = "demo"\n')
    assert read_config(path) == {"url": "http://x:1", "token": "t", "space": "demo"}

    path.write_text("")
    assert read_config(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url = 'x'", "unknown key 'url'"),
        ("[server]\nurls = 'x'", "unknown key server.urls; known: url, token, space"),
        ("[server]\nurl = 3", "server.url must be text"),
        ("server = 3", "'server' must be a table"),
        ("[server", "correct it"),
    ],
)
def test_a_configuration_file_that_says_something_else_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(CommandFailure) as caught:
        read_config(path)

    assert caught.value.exit_code == USAGE
    assert message in caught.value.message


def test_names_are_encoded_whole_into_an_address() -> None:
    client = Client(ServerTarget("http://h:1", None, "a/b"))

    assert client.in_space("functions", "..", "invoke") == "http://h:1/spaces/a%2Fb/functions/%2E%2E/invoke"
    assert client.in_space("secrets", "a.b") == "http://h:1/spaces/a%2Fb/secrets/a.b"
    assert client.in_space("functions", "x?y#z") == "http://h:1/spaces/a%2Fb/functions/x%3Fy%23z"
    for name in ("", "\udcff"):
        with pytest.raises(CommandFailure) as caught:
            client.in_space("functions", name)
        assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(
    "answer",
    [b"", b"oops", b"[]", b'{"error": "x"}', b'{"error": {"message": 3}}', b"[" * 100_000, b"\xff"],
)
def test_an_answer_that_is_no_envelope_has_no_message(answer: bytes) -> None:
    assert envelope(answer) == (None, {})


def test_an_envelopes_message_and_details_are_found() -> None:
    assert envelope(b'{"error": {"message": "no", "details": {"line": 3}}}') == ("no", {"line": 3})
    assert envelope(b'{"error": {"message": "no", "details": [3]}}') == ("no", {})


def test_what_a_terminal_would_obey_is_shown_as_an_escape() -> None:
    assert output.safe("plain Zoë 日本 ✓") == "plain Zoë 日本 ✓"
    assert output.safe("\x1b[31m\x07\r\n\t") == "\\x1b[31m\\x07\\r\\n\\t"
    assert output.safe("\x9b31m\x7f") == "\\x9b31m\\x7f"
    assert output.safe("a\u202eb\u2066\u200b\u2028") == "a\\u202eb\\u2066\\u200b\\u2028"
    assert output.safe("\udcff\U000e0001") == "\\udcff\\U000e0001"
    assert output.safe_lines("a\tb\n\x1b") == "a\tb\n\\x1b"


@given(st.text())
def test_no_text_gets_a_control_character_onto_a_terminal(text: str) -> None:
    assert all(" " <= character != "\x7f" for character in output.safe(text))
    output.safe(text).encode("utf-8")


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@given(st.binary(), st.integers(1, 7))
def test_a_body_on_a_terminal_is_escaped_however_it_is_cut(body: bytes, size: int) -> None:
    raw = io.BytesIO()
    terminal = Terminal(raw, encoding="utf-8", newline="")
    writer = output.BodyWriter(terminal)
    for start in range(0, len(body), size):
        writer.write(body[start : start + size])
    writer.close()

    shown = raw.getvalue().decode("utf-8")

    assert all(" " <= character != "\x7f" or character in "\n\t" for character in shown)
    assert not shown or shown.endswith("\n")


@given(st.binary())
def test_a_body_that_is_piped_stays_as_it_is(body: bytes) -> None:
    raw = io.BytesIO()
    writer = output.BodyWriter(io.TextIOWrapper(raw, encoding="ascii"))
    writer.write(body)
    writer.close()

    assert raw.getvalue() == body
