"""The frames of a function's log on its log pipes, among other bytes that are written there.

    MARK kind level call [key] payload \\n

Everything in the cell may write to a log pipe: C code, child processes, Python.  Python's streams and
``logging`` know more than bytes: which call wrote a text, its level, and which lines belong together.  Frames
carry that.  A frame is one line that begins with MARK and has at most FRAME_MAX_BYTES.  A pipe takes such a
line at once or not at all, so no other writer can tear it.  Inside a frame NUL stands for a newline; a NUL or
MARK's first byte in the text is written as an escape.

A cell may write any frame.  Bytes that are no frame are text, and the front believes a frame about the cell's
own calls only (``supervisor.front.logs.line_stamps``).  Pure; shared with the front.
"""

from typing import Dict, Iterator, Literal, NamedTuple, Optional

MARK = b"\x1e\x00"
Level = Literal["debug", "info", "warning", "error", "critical"]
# PIPE_BUF of Linux: a write to a pipe is atomic up to this size.
FRAME_MAX_BYTES = 4096
# The largest entry; a traceback of a hundred frames has a tenth of it.
ENTRY_MAX_BYTES = 48 * 1024

# The call number of a line that belongs to no call.  Calls count from 1, and no instance gets that far.
NOBODY = 0xFFFFFFFF

# TEXT is cut into lines, and the last line may go on in the call's next frame.  An ENTRY stays whole; MORE is
# a part of it that is not the last.  END is the entry that a failed call leaves: its traceback or its stack.
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


class LogFrame(NamedTuple):
    """A decoded frame.  ``call`` is 0 if the frame names no call, NOBODY if it belongs to none.

    ``key`` tells apart the entries that are being written at the same time.
    """

    kind: bytes
    level: Level
    call: int
    key: bytes
    payload: bytes


def text(data: bytes, call: int) -> Iterator[bytes]:
    """The frames of a text that a call has written to a stream."""
    data = _escaped(data)
    head = b"%bti%08x" % (MARK, call)
    if len(data) <= _TEXT_ROOM:
        yield b"%b%b\n" % (head, data)
        return
    for start in range(0, len(data), _TEXT_ROOM):
        yield b"%b%b\n" % (head, data[start : start + _TEXT_ROOM])


def entry(data: bytes, level: str, call: int, key: int, kind: bytes = ENTRY) -> Iterator[bytes]:
    """The frames of one entry, however many lines it has; it is cut after ENTRY_MAX_BYTES."""
    # One byte more, so that the reader sees that something is missing.
    data = _escaped(data[: ENTRY_MAX_BYTES + 1])
    tail = b"%b%08x%08x" % (_CODES[level], call, key & 0xFFFFFFFF)
    last = max(0, len(data) - 1) // _ENTRY_ROOM * _ENTRY_ROOM
    for start in range(0, last, _ENTRY_ROOM):
        yield b"%b%b%b%b\n" % (MARK, MORE, tail, data[start : start + _ENTRY_ROOM])
    yield b"%b%b%b%b\n" % (MARK, kind, tail, data[last:])


def decode(data: bytes) -> Optional[LogFrame]:
    """The frame in the bytes between MARK and the newline; None if they are no frame."""
    # From here on the bytes are hostile.
    kind, level = data[:1], LEVELS.get(data[1:2])
    if level is None or len(data) < _CALL_END or len(data) >= FRAME_MAX_BYTES:
        return None
    try:
        call = int(data[2:_CALL_END], 16)
    except ValueError:
        return None
    if kind == TEXT:
        return LogFrame(kind, level, call, b"", data[_CALL_END:])
    if kind in (MORE, ENTRY, END) and len(data) >= _KEY_END:
        return LogFrame(kind, level, call, data[_CALL_END:_KEY_END], data[_KEY_END:])
    return None


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\0", b"\\x00").replace(b"\x1e", b"\\x1e").replace(b"\n", b"\0")
