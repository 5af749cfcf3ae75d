"""A page that is run: its fenced blocks, and what a reader gets who types its transcripts.

In a transcript a line that begins with ``$`` is typed, what follows is expected, and … stands for anything.
A Python block is a file (its first line names it) or a session that doctest runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).parents[2]
COMMAND_SECONDS = 60
# A terminal shows no progress meter where curl's answer goes to it; a pipe does.
AS_ON_A_TERMINAL = 'curl() { command curl -sS "$@"; }'
FILE_LINE = re.compile(r"# ([\w/]+\.\w+)\n")
SESSION = ">>> "

Block = tuple[str, str]


def blocks_of(page: str) -> list[Block]:
    """Language and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def commands_of(blocks: list[Block]) -> list[tuple[str, str]]:
    """Every command of every transcript in order, with what it is said to print."""
    found = []
    for language, text in blocks:
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                found.append((command, expected))
    return found


def environment(**more: str) -> dict[str, str]:
    """A stranger's: nothing of Cellblock's in it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    return {**ours, **more}


def write_files(blocks: list[Block], folder: Path) -> None:
    """The files that the page says to write."""
    for language, text in blocks:
        named = FILE_LINE.match(text)
        if language in ("python", "text") and named:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if language == "python" else text[named.end() :])


def printed_by(command: str, folder: Path, url: str, *before: str, **variables: str) -> str:
    """What a terminal shows of it: stdout, and stderr behind it."""
    done = subprocess.run(
        ["bash", "-c", "\n".join([AS_ON_A_TERMINAL, *before, command])],
        cwd=folder,
        env=environment(CELLBLOCK_URL=url, XDG_CONFIG_HOME=str(folder), LC_ALL="C.UTF-8", **variables),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    # On a terminal a body without a line end gets one.
    return f"{done.stdout}\n{done.stderr}"


def assert_prints(expected: str, printed: str) -> None:
    """… stands for anything."""
    pattern = re.escape(expected.strip()).replace("…", ".*")
    assert re.fullmatch(pattern, re.sub("\n+", "\n", printed).strip(), flags=re.DOTALL), (
        f"{printed}\n\nis not\n\n{expected}"
    )


def assert_sessions_run(blocks: list[Block], folder: Path) -> None:
    """What each session shows is what Python prints; the files of the page can be imported."""
    sessions = [text for language, text in blocks if language == "python" and text.startswith(SESSION)]
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
