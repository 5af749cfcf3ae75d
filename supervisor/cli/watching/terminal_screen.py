"""A terminal that shows one screen again and again, and tells the keys that are typed meanwhile.

What was on the terminal before comes back at the end, also after Ctrl-C or a signal.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from typing import NoReturn

# DEC private modes that every terminal with a screen knows: the other screen, no cursor.
BEGIN, END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
HEAD_LINE = 1  # of a screen: the head of its table
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# An arrow or a function key (ECMA-48's CSI, or SS3): it means nothing here, nor do its letters.
ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)?")
KEYS_MAX_BYTES = 64  # of one look: nobody types faster


class Screen:
    """Use as a context manager; :meth:`keys` waits, :meth:`show` draws."""

    def __init__(self) -> None:
        self._has_keys = sys.stdin.isatty()

    @contextlib.contextmanager
    def begun(self) -> Iterator[Screen]:
        """The other screen, and keys without Enter; KeyboardInterrupt for a signal that ends us."""
        before = termios.tcgetattr(sys.stdin) if self._has_keys else None
        handlers = {number: signal.signal(number, _interrupted) for number in ENDING_SIGNALS}
        try:
            if self._has_keys:
                tty.setcbreak(sys.stdin.fileno())
            _write(BEGIN)
            yield self
        finally:
            _write(END)
            if before is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @property
    def has_keys(self) -> bool:
        """Whether somebody can type."""
        return self._has_keys

    def size(self) -> tuple[int, int]:
        """Columns and lines now; a window changes its size."""
        return shutil.get_terminal_size()

    def show(self, lines: Sequence[str]) -> None:
        """Draw over what was there, line by line, so that nothing flickers."""
        drawn = [f"{BOLD}{line}{PLAIN}" if at == HEAD_LINE else line for at, line in enumerate(lines)]
        _write(HOME + f"{CLEAR_LINE}\n".join(drawn) + CLEAR_LINE + CLEAR_BELOW)

    def keys(self, seconds: float) -> str:
        """The keys typed until ``seconds`` have passed, or the first ones that were typed before."""
        if not self._has_keys:
            time.sleep(seconds)
            return ""
        readable, _, _ = select.select([sys.stdin], [], [], seconds)
        if not readable:
            return ""
        typed = os.read(sys.stdin.fileno(), KEYS_MAX_BYTES).decode("utf-8", "replace")
        if not typed:  # the terminal is gone
            raise KeyboardInterrupt
        return ESCAPE_SEQUENCE.sub("", typed)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt
