"""``cellblock top`` on a real terminal of 80 columns and 24 lines, and without one."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from supervisor.cli.main import main
from tests.support.patience import FACTOR
from tests.support.server import REPOSITORY, SPACE, TOKEN, Server

COLUMNS, LINES = 80, 24
DEADLINE_SECONDS = 60 * FACTOR
ESCAPES = re.compile(rb"\x1b\[\??[0-9;]*[a-zA-Z]")
ALT_SCREEN, MAIN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
NAMES = [f"top-shows-a-function-of-a-long-name-{number}" for number in range(3)]


class Terminal:
    """``cellblock top`` on a pseudo-terminal; ``seen`` is all that came of it."""

    def __init__(self, server: Server) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.theirs = theirs  # kept open, so that its settings can be read at the end
        self.before = termios.tcgetattr(theirs)
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        kept |= {"CELLBLOCK_URL": server.url, "CELLBLOCK_TOKEN": TOKEN, "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.cli", "top", "--interval", "0.3"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=kept, cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip
        self.seen = b""

    def screens(self) -> list[list[str]]:
        """Every whole screen that was drawn, as lines."""
        drawn = self.seen.replace(b"\r\n", b"\n").split(b"\x1b[H")[1:]
        return [ESCAPES.sub(b"", one).decode().split("\n") for one in drawn if one.endswith(b"\x1b[J")]

    def until(self, is_there: Callable[[list[str]], bool]) -> list[str]:
        """The first screen from now on of which that is true."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        begin = len(self.screens())
        while time.monotonic() < deadline:
            for screen in self.screens()[begin:]:
                if is_there(screen):
                    return screen
            assert self._read(), f"it ended:\n{self.seen!r}"
        raise AssertionError(f"not within {DEADLINE_SECONDS} s:\n{self.seen!r}")

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def end(self) -> int:
        """The exit code, once the command has ended by itself."""
        code = self.process.wait(DEADLINE_SECONDS)
        while self._read(0):
            pass
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def _read(self, seconds: float = DEADLINE_SECONDS) -> bool:
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        try:
            self.seen += os.read(self.ours, 65536)
        except OSError as error:
            assert error.errno == errno.EIO
            return False
        return True


@pytest.fixture
def terminal(server: Server) -> Iterator[Terminal]:
    for name in NAMES:
        server.deploy(name, "def handle(req):\n    return {}\n")
        assert server.call(name).status_code == 200
    opened = Terminal(server)
    yield opened
    opened.close()
    for name in NAMES:
        assert server.client.delete(f"/spaces/{SPACE}/functions/{name}").status_code == 204


@pytest.mark.promise("S189")
def test_top_fits_80_by_24_obeys_its_keys_and_gives_the_terminal_back(terminal: Terminal) -> None:
    first = terminal.until(lambda screen: "calls/s" in screen[0])
    assert first[1].split()[0] == "FUNCTION" and first[-1].startswith("q quit")
    terminal.type(b"\x1b[A" + b"i")  # an arrow is no key of ours, and swallows none
    shown = terminal.until(lambda screen: "hide idle" in screen[-1])
    assert all(any(line.startswith(f"{SPACE}/top-shows-a-f") for line in shown) for _ in NAMES)
    terminal.type(b"n")
    by_name = terminal.until(lambda screen: "[n name]" in screen[-1])
    names = [line.split()[0] for line in by_name[2:] if line.startswith(f"{SPACE}/")]
    assert names == sorted(names)
    for screen in terminal.screens():
        assert len(screen) <= LINES and max(map(len, screen)) <= COLUMNS
        assert screen[1].startswith("FUNCTION")
    terminal.type(b"q")
    assert terminal.end() == 0
    assert terminal.seen.startswith(ALT_SCREEN) and MAIN_SCREEN in terminal.seen[-20:]
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_a_signal_that_ends_top_gives_the_terminal_back_too(terminal: Terminal) -> None:
    terminal.until(lambda screen: "calls/s" in screen[0])
    terminal.process.terminate()
    assert terminal.end() == 0
    assert MAIN_SCREEN in terminal.seen[-20:]
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_without_a_terminal_top_prints_one_table_and_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CELLBLOCK_TOKEN", TOKEN)
    assert main(["--url", server.url, "top", "--interval", "0.2"]) == 0
    out, err = capfd.readouterr()
    assert out.count("calls/s") == 1 and "\x1b" not in out + err
