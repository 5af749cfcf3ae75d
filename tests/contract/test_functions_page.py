"""docs/functions.md, executed: its transcripts, its sessions, its table of answers, its differences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.function_limits import ASYNC_CONCURRENCY, DEFAULTS
from tests.contract.plain.differences import DIFFERENCES
from tests.support.server import SPACE, TOKEN, Server
from tests.support.transcripts import (
    BIN,
    FILE_LINE,
    REPOSITORY,
    SESSION,
    assert_prints,
    assert_sessions_run,
    blocks_of,
    commands_of,
    printed_by,
    write_files,
)

PAGE = (REPOSITORY / "docs/functions.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(PAGE)
LOCKS = REPOSITORY / "supervisor/runtimes/locks"
LINE_MOST_CHARS = 100
# Of the table of answers: what is returned, the status, the type, what is sent.
ANSWER = re.compile(r"^\| `(.+?)` \| (\d{3}) \|(?: `(.+?)`)? \|(?: `(.+?)`)? \|$", flags=re.MULTILINE)


def section(heading: str) -> str:
    """The text below one heading."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder, with the files that the page says to write."""
    place = tmp_path_factory.mktemp("author")
    write_files(BLOCKS, place)
    return place


@pytest.fixture(scope="module")
def space(server: Server) -> Iterator[None]:
    """The space ``default`` as it was before."""
    yield
    listed = server.client.get("/spaces/default/functions").json()["data"]
    for name in [f"functions/{one['name']}" for one in listed] + ["secrets/PAY_KEY", "variables/limits"]:
        server.client.delete(f"/spaces/default/{name}")


@pytest.mark.promise("S158")
@pytest.mark.usefixtures("space")
def test_the_transcripts_are_what_an_author_gets(server: Server, folder: Path) -> None:
    """As slow as the page has commands: each is an interpreter that starts, and some deploy."""
    path = f"export PATH={BIN}:$PATH"
    for command, expected in commands_of(BLOCKS):
        assert_prints(expected, printed_by(command, folder, server.url, path, CELLBLOCK_TOKEN=TOKEN))


def test_the_sessions_are_what_python_prints(folder: Path) -> None:
    assert_sessions_run(BLOCKS, folder)


def test_the_table_of_answers_is_what_is_sent(server: Server) -> None:
    server.deploy("answers-of-the-page", "def handle(req):\n    return eval(req.body)\n")
    rows = ANSWER.findall(section("The answer"))
    assert len(rows) >= 10
    for returned, status, kind, sent in rows:
        answer = server.call("answers-of-the-page", content=returned)
        came = (str(answer.status_code), answer.headers.get("content-type", ""), answer.text)
        assert came == (status, kind, sent), returned
    server.client.delete(f"/spaces/{SPACE}/functions/answers-of-the-page")


def test_every_block_is_run_by_a_test_of_this_file() -> None:
    assert PAGE.count("```") == 2 * len(BLOCKS)
    files = set()
    for language, text in BLOCKS:
        assert language in ("python", "console", "text"), f"no test runs a block of {language!r}"
        named = FILE_LINE.match(text)
        assert language == "console" or named or text.startswith(SESSION), f"what is this?\n{text}"
        if named:
            files.add(named[1].partition("/")[0])
    typed = "\n".join(command for command, _ in commands_of(BLOCKS))
    assert [file for file in files if f"deploy {file}" not in typed] == []


def test_the_differences_are_those_of_the_suite() -> None:
    said = re.split(r"^- ", section("What is different from plain Python, and why"), flags=re.MULTILINE)[1:]
    assert [" ".join(one.split()) for one in said] == [
        f"**{name}**: {one.plain} A function: {one.function} Why: {one.why}"
        for name, one in DIFFERENCES.items()
    ]


def test_the_libraries_are_those_of_the_default_runtime() -> None:
    named = [line for line in section("Libraries").splitlines() if line.startswith("`")]
    locked = {
        re.split(r"[\[=<>]", line)[0]
        for name in ("full.in", "lean.in")
        for line in (LOCKS / name).read_text().splitlines()
        if line and line[0].isalpha()
    }
    assert set(re.findall(r"`([\w-]+)`", "\n".join(named))) == locked - {
        "msgpack", "werkzeug", "databases", "sqlalchemy",  # ours, and what others of the list depend on
    }  # fmt: skip


def test_no_line_is_longer_than_a_screen_is_wide() -> None:
    assert [line for line in PAGE.splitlines() if len(line) > LINE_MOST_CHARS] == []


def test_the_table_of_limits_has_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d, ]+)", section("Limits, as you feel them"), flags=re.MULTILINE)
    defaults = {name: str(int(value)) for name, value in DEFAULTS.items() if isinstance(value, int | float)}
    defaults["concurrency"] = f"1, {ASYNC_CONCURRENCY}"
    assert len(rows) >= 8
    assert {name: value.strip() for name, value in rows} == {name: defaults[name] for name, _ in rows}
