"""README.md, executed: every fenced block runs, and every transcript is compared with what really comes.

One server runs for all of it, started by the very line that ``make run`` starts it with.  In a
transcript a line that begins with ``$`` is typed, what follows is expected, and … stands for anything.
A Python block is a file (its first line names it) or a session that doctest runs.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import READY_SECONDS, STOP_SECONDS

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
ADDRESS_IN_README = "http://127.0.0.1:8080"
BIN = Path(sys.executable).parent
LAST_LINE = "Ctrl-C stops the server."
COMMAND_SECONDS = 60
# A terminal shows no progress meter where curl's answer goes to it; a pipe does.
AS_ON_A_TERMINAL = 'curl() { command curl -sS "$@"; }'

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Started:
    """The server of this file: what it printed, its address, its token."""

    text: str
    url: str
    token: str


def environment(**more: str) -> dict[str, str]:
    """A stranger's: nothing of Cellblock's in it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    return {**ours, **more}


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
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            line_of_make_run(folder / ".cellblock"),
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        text = _until(process, LAST_LINE)
        url = re.findall(r"^cellblock: ready on (\S+)$", text, flags=re.MULTILINE)[0]
        yield Started(text, url, (folder / ".cellblock/admin-token").read_text().strip())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(STOP_SECONDS) == 0, (folder / "log").read_text()


def _until(process: subprocess.Popen[bytes], end: str) -> str:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + READY_SECONDS
    text = b""
    while end not in text.decode(errors="replace"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(descriptor, 65536) if readable else b""
        assert data, f"the server did not say {end!r}: {text.decode()}"
        text += data
    return text.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder, with the files that the README says to write."""
    place = tmp_path_factory.mktemp("reader")
    for language, text in BLOCKS:
        named = re.match(r"# (\w+\.py)\n", text)
        if language == "python" and named:
            (place / named[1]).write_text(text)
    return place


def commands() -> list[tuple[str, str]]:
    """Every command of every transcript in order, with what it is said to print."""
    found = []
    for language, text in BLOCKS:
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                found.append((command, expected))
    return found


def assert_prints(expected: str, printed: str) -> None:
    pattern = re.escape(expected.strip()).replace("…", ".*")
    assert re.fullmatch(pattern, re.sub("\n+", "\n", printed).strip(), flags=re.DOTALL), (
        f"{printed}\n\nis not\n\n{expected}"
    )


@pytest.mark.needs_root  # whose tier the transcript names
@pytest.mark.needs_sandbox
def test_the_transcripts_are_what_a_reader_gets(started: Started, folder: Path) -> None:
    exports = [AS_ON_A_TERMINAL]
    typed = 0
    for command, expected in commands():
        if command == "make run":
            assert_prints(expected.replace(ADDRESS_IN_README, started.url), started.text)
            continue
        line = command.replace(ADDRESS_IN_README, started.url)
        line = line.replace("cb_…", started.token).replace("$PWD/.venv/bin", str(BIN))
        assert "…" not in line, f"what should be typed for … in {command!r}?"
        if line.startswith("export "):
            exports.append(line)
            continue
        done = subprocess.run(
            ["bash", "-c", "\n".join([*exports, line])],
            cwd=folder,
            env=environment(CELLBLOCK_URL=started.url, XDG_CONFIG_HOME=str(folder), LC_ALL="C.UTF-8"),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        # On a terminal a body without a line end gets one.
        assert_prints(expected.replace(ADDRESS_IN_README, started.url), f"{done.stdout}\n{done.stderr}")
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
    sessions = [text for language, text in BLOCKS if language == "python" and text.startswith(">>> ")]
    assert sessions
    for number, text in enumerate(sessions):
        (folder / f"session{number}.txt").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "doctest", f"session{number}.txt"],
            cwd=folder,
            env=environment(PYTHONPATH=f"{folder}:{REPOSITORY}"),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert (done.returncode, done.stdout) == (0, ""), done


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
