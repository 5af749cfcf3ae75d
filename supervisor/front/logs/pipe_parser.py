"""Reads one log pipe of an instance: bytes in, lines and entries out, whatever the bytes are.

What stands between two newlines is a line.  A frame of ``worker.logwire`` names its call and level, and may
be an entry of many lines.  Unfinished lines and entries are held, within a bound.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from supervisor.logs import Level, Stream
from worker import logwire
from worker.logwire import ENTRY_MAX_BYTES, FRAME_MAX_BYTES, MARK

READ_BYTES = 1 << 14
LINE_MAX_BYTES = 16 * 1024  # the contract's: a longer line is cut
# Some 400 lines of one pipe in one turn of the loop: a flood must not keep other calls waiting.
READS_PER_TURN = 1
# Enough to empty a pipe, which holds 64 KiB; a read that finds less than READ_BYTES has emptied it.
READS_TO_THE_BOTTOM = 5
# All unfinished lines and entries of calls that run at once; above it they are ended as they are.
HELD_MAX_BYTES = 256 * 1024
# What holding one costs beside its bytes, so that empty ones count too.
HELD_BYTES = 256
CUT = b"... (cut)"


class Line(NamedTuple):
    """A line, or (with newlines in it) an entry; ``call`` is the number that the cell says, or 0.

    ``is_failures``: the cell says that a failed call left it, such as a traceback.
    """

    data: bytes
    call: int = 0
    level: Level = "info"
    is_failures: bool = False

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return 1 + self.data.count(b"\n")


class _Part:
    """An unfinished line or entry, of at most ``most`` bytes."""

    __slots__ = ("data", "is_cut", "level", "most")

    def __init__(self, most: int, level: Level = "info") -> None:
        self.data = bytearray()
        self.most = most
        self.level: Level = level
        self.is_cut = False

    def add(self, piece: bytes) -> None:
        """Add a piece; what is above ``most`` is cut off."""
        if self.is_cut:
            return
        room = self.most - len(self.data)
        if len(piece) > room:
            self.data += piece[:room] + CUT
            self.is_cut = True
        else:
            self.data += piece

    def take(self) -> bytes:
        """Return what is held, and begin anew."""
        data = bytes(self.data)
        self.data.clear()
        self.is_cut = False
        return data


class PipeParser:
    """The lines of one pipe; ``name`` is the stream that they belong to."""

    def __init__(self, descriptor: int, name: Stream) -> None:
        self.descriptor = descriptor
        self.name = name
        self._rest = _Part(LINE_MAX_BYTES)
        # The beginning of a frame, or a byte that may begin one.
        self._open = b""
        # Unfinished framed lines by call, unfinished framed entries by call and key.
        self._parts: dict[tuple[int, bytes], _Part] = {}
        self._held = 0

    def read(self, reads: int = READS_PER_TURN) -> tuple[list[Line], bool]:
        """Read what has come: its lines, and whether the pipe has ended."""
        lines: list[Line] = []
        for _ in range(reads):
            try:
                data = os.read(self.descriptor, READ_BYTES)
            except BlockingIOError:
                return lines, False
            if not data:
                return lines, True
            self._cut(data, lines)
            if len(data) < READ_BYTES:
                return lines, False
        return lines, False

    def _cut(self, data: bytes, lines: list[Line]) -> None:
        # From here on the bytes are hostile.
        if self._open:
            data, self._open = self._open + data, b""
        begun = b""
        if data[-1:] == MARK[:1]:
            data, begun = data[:-1], MARK[:1]
        text, *frames = data.split(MARK)
        self._cut_text(text, lines)
        if frames:
            for piece in frames[:-1]:
                self._frame(piece, lines)
            if b"\n" in frames[-1] or len(frames[-1]) > FRAME_MAX_BYTES:
                self._frame(frames[-1], lines)
            else:
                self._open = MARK + frames[-1]
        self._open += begun

    def _cut_text(self, data: bytes, lines: list[Line]) -> None:
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._rest.add(part)
            lines.append(Line(self._rest.take()))
        self._rest.add(rest)

    def _frame(self, piece: bytes, lines: list[Line]) -> None:
        """Take what follows a MARK: a frame and then text, or text only."""
        data, newline, text = piece.partition(b"\n")
        frame = logwire.decode(data) if newline else None
        if frame is None:
            self._cut_text(MARK + piece, lines)
            return
        if frame.kind == logwire.TEXT:
            self._framed_text(frame, lines)
        else:
            self._framed_entry(frame, lines)
        if self._held > HELD_MAX_BYTES:
            lines += self._all_held()
        if text:
            self._cut_text(text, lines)

    def _framed_text(self, frame: logwire.Frame, lines: list[Line]) -> None:
        call = frame.call
        *whole, rest = frame.payload.split(b"\0")
        if whole:
            first = whole[0][:LINE_MAX_BYTES]
            if self._parts:
                first = self._take((call, b""), first, lines)
            lines.append(Line(first, call))
            lines += [Line(part, call) for part in whole[1:]]
        if rest:
            self._hold((call, b""), rest, LINE_MAX_BYTES, "info")

    def _framed_entry(self, frame: logwire.Frame, lines: list[Line]) -> None:
        payload = frame.payload.replace(b"\0", b"\n")
        key = (frame.call, frame.key)
        if frame.kind == logwire.MORE:
            self._hold(key, payload, ENTRY_MAX_BYTES, frame.level)
            return
        if self._parts:
            payload = self._take(key, payload, lines)
        lines.append(Line(payload, frame.call, frame.level, frame.kind == logwire.END))

    def _hold(self, key: tuple[int, bytes], piece: bytes, most: int, level: Level) -> None:
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = _Part(most, level)
            self._held += HELD_BYTES
        before = len(part.data)
        part.add(piece)
        self._held += len(part.data) - before

    def _take(self, key: tuple[int, bytes], piece: bytes, lines: list[Line]) -> bytes:
        """What is held under ``key``, and ``piece`` after it."""
        part = self._parts.pop(key, None)
        if part is None:
            return piece
        self._held -= len(part.data) + HELD_BYTES
        part.add(piece)
        return part.take()

    def _all_held(self) -> list[Line]:
        found = [Line(part.take(), call, part.level) for (call, _), part in self._parts.items()]
        self._parts.clear()
        self._held = 0
        return found

    @property
    def has_rest(self) -> bool:
        """Whether anything unfinished is held."""
        return bool(self._rest.data or self._parts or self._open)

    def last_of(self, call: int) -> list[Line]:
        """The framed line that a call has not finished, once the call has ended."""
        if not self._parts:
            return []
        part = self._parts.pop((call, b""), None)
        if part is None:
            return []
        self._held -= len(part.data) + HELD_BYTES
        return [Line(part.take(), call)]

    def last(self) -> list[Line]:
        """Everything unfinished, ended as it is: a call ran alone and has ended, or the pipe has."""
        found: list[Line] = []
        if self._open:  # a frame is written to the pipe whole, so this is none
            data, self._open = self._open, b""
            self._cut_text(data, found)
        if self._rest.data:
            found.append(Line(self._rest.take()))
        return found + self._all_held() if self._parts else found
