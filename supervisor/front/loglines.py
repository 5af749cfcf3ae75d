"""The log pipes of one instance: always drained, cut into lines, stamped here and nowhere else.

A line carries text only.  Whose it is, of which call and when is our word, so a function cannot
forge another's record.  Caps count per call; what is above them is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import re

from supervisor.front.recorder import Journal
from supervisor.logs import Stream as StreamName

log = logging.getLogger("cellblock.function")

READ_BYTES = 1 << 16
LINE_MAX_BYTES = 16 * 1024  # the contract's: a longer line is cut
# From one pipe in one turn of the loop: a flood must not starve the front's other work.
READS_PER_TURN = 4
# What a terminal acts on, C1 and the bidirectional controls included, and what other readers end a line at.
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Stream:
    """One pipe of an instance: bytes in, lines out."""

    def __init__(self, descriptor: int, name: StreamName) -> None:
        self.descriptor = descriptor
        self.name = name
        self._rest = bytearray()
        self._is_cutting = False

    def read(self) -> tuple[list[bytes], bool]:
        """Lines that have come, and whether the pipe has ended."""
        lines: list[bytes] = []
        for _ in range(READS_PER_TURN):
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

    def _cut(self, data: bytes, lines: list[bytes]) -> None:
        # From here on the bytes are hostile.
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._extend(part)
            lines.append(bytes(self._rest))
            self._rest.clear()
            self._is_cutting = False
        self._extend(rest)

    def _extend(self, part: bytes) -> None:
        if self._is_cutting:
            return
        room = LINE_MAX_BYTES - len(self._rest)
        if len(part) > room:
            self._rest += part[:room] + b"... (cut)"
            self._is_cutting = True
        else:
            self._rest += part

    @property
    def has_rest(self) -> bool:
        """Whether a line has begun that has not ended."""
        return bool(self._rest)

    def last(self) -> list[bytes]:
        """What was written without a newline before the end, of a call or of all."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._is_cutting = False
        return [rest] if rest else []


class LogLines:
    """Counts and emits the lines of one instance."""

    def __init__(
        self, origin: str, max_bytes: int, max_lines: int, is_emitted: bool, journal: Journal | None = None
    ) -> None:
        self._origin = origin
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._is_emitted = is_emitted
        self._journal = journal
        self._bytes_left, self._lines_left = max_bytes, max_lines
        self._dropped = 0

    def begin_call(self, running: int) -> None:
        """Another call runs, so many with it: the caps of an idle instance start again.

        Of a busy one nobody can tell whose a line is: each call brings its own caps along, and what is
        left of them is never more than those of the calls that run.
        """
        if running == 1:
            self.end_call("-")  # what a thread wrote that an earlier call left behind
            self._bytes_left, self._lines_left = self._max_bytes, self._max_lines
            return
        self._bytes_left = min(max(0, self._bytes_left) + self._max_bytes, running * self._max_bytes)
        self._lines_left = min(max(0, self._lines_left) + self._max_lines, running * self._max_lines)

    def take(self, lines: list[bytes], stream: StreamName, call_id: str) -> None:
        """Emit what is within the caps; count the rest."""
        for line in lines:
            self._lines_left -= 1
            self._bytes_left -= len(line)
            if self._lines_left < 0 or self._bytes_left < 0:
                self._dropped += 1
                continue
            text = CONTROL.sub(_escape, line.decode("utf-8", "backslashreplace"))
            if self._is_emitted:
                log.info("%s %s %s: %s", self._origin, call_id or "-", stream, text)
            if self._journal is not None:
                self._journal.add(call_id, stream, "info", text)

    def end_call(self, call_id: str) -> None:
        """Say how much was dropped, if anything was."""
        if self._dropped:
            text = (
                f"{self._dropped} log lines were dropped: "
                f"the call's limit is {self._max_lines} lines, {self._max_bytes} bytes"
            )
            log.warning("%s %s: %s", self._origin, call_id, text)
            if self._journal is not None:
                self._journal.add("" if call_id == "-" else call_id, "platform", "warning", text)
            self._dropped = 0
