"""The output of commands: tables for people, JSON for programs, never a tenant's control characters.

Rule 1: text from a server goes to a terminal only through :func:`safe` or :func:`safe_lines`: a tenant
chooses names, messages and bodies, and a terminal obeys escape sequences.
Rule 2: output that does not go to a terminal has no colour and no cut column.
"""

from __future__ import annotations

import codecs
import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

MESSAGE_MAX_CHARS = 2000  # of one line on stderr: enough for any message, too little to flood
CELL_MAX_CHARS = 500  # of a table's cell; --json has the whole value
# Controls; formats (bidirectional overrides, zero width); lone surrogates; line and paragraph separators.
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
PIPE_COLUMNS = 100_000  # wide enough that a piped table is never folded


def safe(text: str, keep: str = "") -> str:
    """``text`` with each character that a terminal acts on written as an escape, except those in ``keep``.

    >>> safe("red \\x1b[31m")
    'red \\\\x1b[31m'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in keep or unicodedata.category(character) not in UNSAFE_CATEGORIES
        else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    code = ord(character)
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if short:
        return short
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def safe_lines(text: str) -> str:
    """Like :func:`safe`, but keeps line ends and tabs: for source code and bodies."""
    return safe(text, keep="\n\t")


def cut(text: str, limit: int) -> str:
    """``text``, cut to ``limit`` characters of which the last is then an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def fail_line(message: str) -> None:
    """One line on stderr; line ends in ``message`` become escapes."""
    sys.stderr.write(f"cellblock: {safe(cut(message, MESSAGE_MAX_CHARS))}\n")
    sys.stderr.flush()


def write_line(text: str) -> None:
    """One line on stdout; control characters in ``text`` become escapes."""
    sys.stdout.write(safe(text) + "\n")


def write_json(value: Any) -> None:
    """``value`` as JSON in ASCII, which is safe on a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def write_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """A table.  Without rows, the line ``empty`` goes to stderr, so that a pipe gets nothing."""
    if not rows:
        sys.stderr.write(safe(empty) + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = _console()
    if terminal:
        console.print(table)
        return
    # Padding at the end of a line is of no use in a pipe or a file.
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def write_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names with their values, one pair a line."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, _cell(value))
    _console().print(table)


def _cell(value: object) -> Any:
    from rich.text import Text

    # Text, not str: rich reads "[link=…]" in a str as markup.
    return Text(safe(cut(as_text(value), CELL_MAX_CHARS)))


def as_text(value: object) -> str:
    """A JSON value for people: text as it is, null as ``-``, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False)


def _console() -> Console:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout,
        force_terminal=terminal,  # FORCE_COLOR in a build's environment must not colour a pipe
        width=None if terminal else PIPE_COLUMNS,
        markup=False,
        highlight=False,
        emoji=False,
    )


class BodyWriter:
    """Writes bytes to stdout, unchanged; to a terminal escaped."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._terminal = self._out.isatty()
        self._out.flush()  # bytes go past the text layer, in which nothing may wait
        # Incremental, because a character may be split between two chunks.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._last = ""

    def write(self, chunk: bytes) -> None:
        """The next bytes of the body."""
        if self._terminal:
            self._write_text(self._decoder.decode(chunk))
        else:
            self._out.buffer.write(chunk)

    def close(self) -> None:
        """The end of the body; a terminal gets a line end if the body has none."""
        if self._terminal:
            self._write_text(self._decoder.decode(b"", final=True))
            if self._last and self._last != "\n":
                self._out.write("\n")
        self._out.flush()

    def _write_text(self, text: str) -> None:
        if text:
            # Carriage returns before a line end are ordinary in bodies and harmless.
            self._out.write(safe_lines(text.replace("\r\n", "\n")))
            self._last = text[-1]
