"""Entries of a function's log on its log pipes, between whatever else is written there.

    MARK kind level call [key] payload \\n

A log pipe carries bytes of anybody in the cell: C code, child processes, Python.  What Python's own
streams and ``logging`` write can say more than bytes do, so it goes in frames: which call wrote it, of which
level it is, and that its lines belong together.  A frame is a line that begins with MARK, of at
most FRAME_MAX_BYTES, which a pipe takes at once or not at all: it is never torn by another writer, and the
bytes around it are theirs.  In it NUL stands for a newline; a NUL or MARK's first byte of the text are
written out.

Nothing here is a promise of the cell.  What is no frame is text, and what a frame says of itself is believed
of the cell's own calls at most (``supervisor/front/logs/line_stamps.py``).  Pure; shared with the front.
"""

from typing import Dict, Iterator, Literal, NamedTuple, Optional

MARK = b"\x1e\x00"
Level = Literal["debug", "info", "warning", "error", "critical"]
# PIPE_BUF of Linux: up to here a write to a pipe is one piece.
FRAME_MAX_BYTES = 4096
# Of one entry: a traceback of a hundred frames has a tenth of it.
ENTRY_MAX_BYTES = 48 * 1024

# In the place of a call's number: no call's.  Calls are numbered from 1, and no instance gets that far.
NOBODY = 0xFFFFFFFF

# Text is cut into lines, of which the last may go on in the call's next frame; an entry stays as it is.  An
# end is the entry that a failed call leaves: its traceback, or where it stood.
TEXT, MORE, ENTRY, END = b"t", b"m", b"e", b"x"
LEVELS: "Dict[bytes, Level]" = {
    b"d": "debug",
    b"i": "info",
    b"w": "warning",
    b"e": "error",
    b"c": "critical",
}
_CODES: Dict[str, bytes] = {name: code for code, name in LEVELS.items()}

_CALL_END = 10
_KEY_END = 18
_TEXT_ROOM = FRAME_MAX_BYTES - len(MARK) - _CALL_END - 1
_ENTRY_ROOM = FRAME_MAX_BYTES - len(MARK) - _KEY_END - 1


class Frame(NamedTuple):
    """``call`` is 0 where none is named, NOBODY where it is none's.

    ``key`` tells the entries apart that are being written at once.
    """

    kind: bytes
    level: Level
    call: int
    key: bytes
    payload: bytes


def text(data: bytes, call: int) -> Iterator[bytes]:
    """Frames of what was written to a stream during a call."""
    data = _escaped(data)
    head = b"%bti%08x" % (MARK, call)
    if len(data) <= _TEXT_ROOM:
        yield b"%b%b\n" % (head, data)
        return
    for start in range(0, len(data), _TEXT_ROOM):
        yield b"%b%b\n" % (head, data[start : start + _TEXT_ROOM])


def entry(data: bytes, level: str, call: int, key: int, kind: bytes = ENTRY) -> Iterator[bytes]:
    """Frames of one entry, lines and all; what is above ENTRY_MAX_BYTES is left out."""
    # One byte more, so that whoever reads it sees that something is missing.
    data = _escaped(data[: ENTRY_MAX_BYTES + 1])
    tail = b"%b%08x%08x" % (_CODES[level], call, key & 0xFFFFFFFF)
    last = max(0, len(data) - 1) // _ENTRY_ROOM * _ENTRY_ROOM
    for start in range(0, last, _ENTRY_ROOM):
        yield b"%b%b%b%b\n" % (MARK, MORE, tail, data[start : start + _ENTRY_ROOM])
    yield b"%b%b%b%b\n" % (MARK, kind, tail, data[last:])


def decode(data: bytes) -> Optional[Frame]:
    """The frame whose bytes lie between MARK and its newline; None when there is no such frame."""
    # From here on the bytes are hostile.
    kind, level = data[:1], LEVELS.get(data[1:2])
    if level is None or len(data) < _CALL_END or len(data) >= FRAME_MAX_BYTES:
        return None
    try:
        call = int(data[2:_CALL_END], 16)
    except ValueError:
        return None
    if kind == TEXT:
        return Frame(kind, level, call, b"", data[_CALL_END:])
    if kind in (MORE, ENTRY, END) and len(data) >= _KEY_END:
        return Frame(kind, level, call, data[_CALL_END:_KEY_END], data[_KEY_END:])
    return None


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\0", b"\\x00").replace(b"\x1e", b"\\x1e").replace(b"\n", b"\0")
