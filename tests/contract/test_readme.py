"""README.md, executed: every fenced block runs, and every transcript is compared with what really comes.

One server runs for all of it, started by the very line that ``make run`` starts it with.  How a page is
run is told by ``tests.support.transcripts``.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import READY_SECONDS, STOP_SECONDS
from tests.support.transcripts import (
    AS_ON_A_TERMINAL,
    BIN,
    COMMAND_SECONDS,
    assert_prints,
    assert_sessions_run,
    blocks_of,
    commands_of,
    environment,
    printed_by,
    write_files,
)

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
BLOCKS = blocks_of(README)
ADDRESS_IN_README = "http://127.0.0.1:8080"
LAST_LINE = "Ctrl-C stops the server."

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Started:
    """The server of this file: what it printed, its address, its token."""

    text: str
    url: str
    token: str


def line_of_make_run(data_dir: Path) -> list[str]:
    """The words of the last command of ``make run``, on a free port."""
    printed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "run", "BIND=127.0.0.1:0", f"DATA_DIR={data_dir}"],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_SECONDS,
    )
    words = shlex.split(printed.stdout.strip().splitlines()[-1])
    assert words[:3] == ["exec", ".venv/bin/cellblock", "serve"]
    # The environment that runs these tests may have another place than `make` gives it.
    return [str(BIN / "cellblock"), *words[2:]]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("readme")
    # A terminal, as a reader has one: the token is printed nowhere else.
    screen, terminal = pty.openpty()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            line_of_make_run(folder / ".cellblock"),
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=log,
        )
    os.close(terminal)
    try:
        text = _until(screen, LAST_LINE)
        url = re.findall(r"^cellblock: ready on (\S+)$", text, flags=re.MULTILINE)[0]
        yield Started(text, url, (folder / ".cellblock/admin-token").read_text().strip())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0, (folder / "log").read_text()
        os.close(screen)


def _until(descriptor: int, end: str) -> str:
    deadline = time.monotonic() + READY_SECONDS
    text = b""
    while end not in text.decode(errors="replace"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(descriptor, 65536) if readable else b""
        assert data, f"the server did not say {end!r}: {text.decode()}"
        text += data
    return text.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder, with the files that the README says to write."""
    place = tmp_path_factory.mktemp("reader")
    write_files(BLOCKS, place)
    return place


@pytest.mark.needs_root  # whose tier the transcript names
@pytest.mark.needs_sandbox
def test_the_transcripts_are_what_a_reader_gets(started: Started, folder: Path) -> None:
    exports: list[str] = []
    typed = 0
    for command, expected in commands_of(BLOCKS):
        if command == "make run":
            assert_prints(expected.replace(ADDRESS_IN_README, started.url), started.text)
            continue
        line = command.replace(ADDRESS_IN_README, started.url)
        line = line.replace("cb_…", started.token).replace("$PWD/.venv/bin", str(BIN))
        assert "…" not in line, f"what should be typed for … in {command!r}?"
        if line.startswith("export "):
            exports.append(line)
            continue
        printed = printed_by(line, folder, started.url, *exports)
        assert_prints(expected.replace(ADDRESS_IN_README, started.url), printed)
        typed += 1
    assert typed >= 8


@pytest.mark.needs_sandbox
def test_what_make_run_prints_names_a_call_that_works_as_it_stands(started: Started, folder: Path) -> None:
    (curl,) = re.findall(r"^  (curl .*)$", started.text, flags=re.MULTILINE)

    done = subprocess.run(
        ["bash", "-c", f"{AS_ON_A_TERMINAL}\n{curl}"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )

    assert done.stdout == '{"message":"Hello, Ada!"}', done


def test_the_sessions_are_what_python_prints(folder: Path) -> None:
    assert_sessions_run(BLOCKS, folder)


def test_every_block_is_run_by_a_test_of_this_file() -> None:
    assert README.count("```") == 2 * len(BLOCKS)
    for language, text in BLOCKS:
        assert language in ("python", "console", "sh"), f"no test runs a block of {language!r}"
        if language == "python":
            assert re.match(r"# \w+\.py\n|>>> ", text), f"neither a file nor a session:\n{text}"
        if language == "console":
            assert text.startswith("$ ")


def test_the_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", README))
    for language, text in BLOCKS:
        if language == "sh":
            named.update(re.findall(r"^make ([a-z]+)", text, flags=re.MULTILINE))
    assert {"run", "test"} <= named <= targets


def test_the_readme_is_short_and_its_first_screen_a_screen() -> None:
    lines = README.splitlines()
    assert len(lines) <= 160
    assert next(number for number, line in enumerate(lines) if line.startswith("## ")) <= 50
