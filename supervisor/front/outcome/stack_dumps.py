"""Where code stood, found in the stacks that the interpreter wrote into a log pipe.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from supervisor.front.logs.pipe_parser import Line

# faulthandler's lines: the thread that had the interpreter's lock first says so, innermost call first.
_THREAD = re.compile(rb"(Current thread|Thread) 0x[0-9a-f]{1,16}\b.*\(most recent call first\):")
_FRAME = re.compile(rb'  File "([^"\n]{1,4096})", line (\d{1,10}) in (\S{1,256})')
# What it writes first when the process dies of it.
_FATAL = b"Fatal Python error: "
# The platform's own calls, by the places where its code lies in cells, and what started the interpreter.
_OURS = re.compile(
    rb'  File "(?!/function/)[^"\n]*(?:/opt/cellblock|/code)/(?:worker|_cellblock|function)/[\w/]+\.py", '
)
_BOOTSTRAP = b'  File "<string>", line 1 in <module>'
# Where a bundle lies in a cell, and in tiers without a root of their own.
_BUNDLE = re.compile(r"(?:^|/)function/(.+)$")
WHERE_MAX_CHARS = 512


def where_of(lines: Iterable[bytes]) -> str:
    """``file:line in function`` of the author's innermost frame; "" where none can be told.

    From here on the bytes are hostile: a function can write such lines itself.  It then lies to its own
    caller and its own author about itself.
    """
    best = ""
    is_current = False
    for line in lines:
        if thread := _THREAD.match(line):
            if best and is_current:
                break  # the thread that ran has been told of; the others only waited
            is_current = thread[1] == b"Current thread"
            if is_current:
                best = ""
        elif frame := _FRAME.match(line):
            path, number, name = (part.decode("utf-8", "replace") for part in frame.groups())
            bundle = _BUNDLE.search(path)
            if bundle and not best:
                best = f"{bundle[1].rpartition('/')[2]}:{number} in {name}"[:WHERE_MAX_CHARS]
    return best


def is_fatal(lines: Iterable[Line]) -> bool:
    """Whether the interpreter says here that it dies, and begins to write its stacks."""
    return any(line.data.startswith(_FATAL) for line in lines)


class AuthorsView:
    """Of one pipe: its lines without the platform's frames, which are the outermost of a stack."""

    __slots__ = ("_is_ours",)

    def __init__(self) -> None:
        # The line before was one: what started the interpreter may follow, in the next read too.
        self._is_ours = False

    def of(self, lines: list[Line]) -> list[Line]:
        """What of them an author is shown."""
        if not self._is_ours and not any(_OURS.match(line.data) for line in lines):
            return lines
        shown = []
        for line in lines:
            self._is_ours = bool(_OURS.match(line.data)) or (self._is_ours and line.data == _BOOTSTRAP)
            if not self._is_ours:
                shown.append(line)
        return shown
