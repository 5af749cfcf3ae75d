"""Finds where code stood in the stacks that faulthandler wrote into a log pipe.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol, TypeVar

# faulthandler's lines.  "Current thread" had the interpreter's lock; the innermost call comes first.
_THREAD = re.compile(rb"(Current thread|Thread) 0x[0-9a-f]{1,16}\b.*\(most recent call first\):")
_FRAME = re.compile(rb'  File "([^"\n]{1,4096})", line (\d{1,10}) in (\S{1,256})')
# Its first line when the process dies of an error.
_FATAL = b"Fatal Python error: "
# The platform's frames, by the places of its code in cells; and the frame that started the interpreter.
_OURS = re.compile(
    rb'  File "(?!/function/)[^"\n]*(?:/opt/cellblock|/code)/(?:worker|_cellblock|function)/[\w/]+\.py", '
)
_BOOTSTRAP = b'  File "<string>", line 1 in <module>'
# A bundle's place in a cell, also in tiers without a root of their own.
_BUNDLE = re.compile(r"(?:^|/)function/(.+)$")
WHERE_MAX_CHARS = 512


class DumpLine(Protocol):
    """A line of a log pipe."""

    @property
    def data(self) -> bytes:
        """Its bytes without the end of the line."""


L = TypeVar("L", bound=DumpLine)


def where_of(lines: Iterable[bytes]) -> str:
    """``file:line in function`` of the author's innermost frame; "" if there is none.

    From here on the bytes are hostile: a function can write such lines itself.  It then lies about itself to
    its own caller and author only.
    """
    best = ""
    is_current = False
    for line in lines:
        if thread := _THREAD.match(line):
            if best and is_current:
                break  # the thread that ran is found; the others only waited
            is_current = thread[1] == b"Current thread"
            if is_current:
                best = ""
        elif frame := _FRAME.match(line):
            path, number, name = (part.decode("utf-8", "replace") for part in frame.groups())
            bundle = _BUNDLE.search(path)
            if bundle and not best:
                best = f"{bundle[1].rpartition('/')[2]}:{number} in {name}"[:WHERE_MAX_CHARS]
    return best


def is_fatal(lines: Iterable[DumpLine]) -> bool:
    """Whether one of the lines says that the interpreter dies; its stacks follow."""
    return any(line.data.startswith(_FATAL) for line in lines)


class AuthorsView:
    """One pipe's lines without the platform's frames, which are the outermost of a stack."""

    __slots__ = ("_is_ours",)

    def __init__(self) -> None:
        # The last line was a frame of the platform; the interpreter's may follow, also in the next read.
        self._is_ours = False

    def of(self, lines: list[L]) -> list[L]:
        """The lines that an author is shown."""
        if not self._is_ours and not any(_OURS.match(line.data) for line in lines):
            return lines
        shown = []
        for line in lines:
            self._is_ours = bool(_OURS.match(line.data)) or (self._is_ours and line.data == _BOOTSTRAP)
            if not self._is_ours:
                shown.append(line)
        return shown
