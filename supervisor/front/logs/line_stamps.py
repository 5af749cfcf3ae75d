"""Stamps each line of an instance with its call, counts it against the caps, and hands it on.

A line's text and level are the cell's word.  Its call is checked: only a call that runs on that instance, or
ran there, is believed, so a function cannot forge another function's record.  Caps count per call; lines
above them are dropped and counted.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable

from supervisor.front.logs.masking import Masks
from supervisor.front.logs.pipe_parser import Line
from supervisor.front.logs.recorder import Journal
from supervisor.logs import Level, Stream

log = logging.getLogger("cellblock.function")

# A thread may outlive its call and write on.  So an instance remembers its last calls, and of the earlier
# ones those that have written since they ended.
PAST_CALLS = 256
PAST_WRITERS = 64

# Characters that a terminal acts on, C1 and bidirectional controls included, and other ends of a line.
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# The same for an entry, which may have many lines.
CONTROL_IN_ENTRY = re.compile(CONTROL.pattern.replace("\x0a", "\x0b", 1))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def text_of(data: bytes) -> str:
    """A line or entry as text, with the characters escaped that a terminal or a line reader acts on."""
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return (CONTROL_IN_ENTRY if "\n" in text else CONTROL).sub(_escape, text)


class _Caps:
    """The bytes and lines that are left, and how many lines were dropped."""

    __slots__ = ("bytes_left", "dropped", "lines_left")

    def __init__(self, bytes_left: int, lines_left: int) -> None:
        self.bytes_left = bytes_left
        self.lines_left = lines_left
        self.dropped = 0

    def take(self, size: int, lines: int) -> bool:
        """Count one more line or entry; whether it fits.  After one that did not fit, nothing fits."""
        self.bytes_left -= size
        self.lines_left -= lines
        if self.bytes_left < 0 or self.lines_left < 0:
            self.dropped += lines
            return False
        return True


class LineStamper:
    """The lines of one instance, counted, stamped and handed on."""

    def __init__(
        self, origin: str, max_bytes: int, max_lines: int, is_emitted: bool, journal: Journal | None = None
    ) -> None:
        """``is_emitted``: each line goes to the server's own log too.  ``journal`` keeps the lines."""
        self._origin = origin
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._is_emitted = is_emitted
        self._journal = journal
        self.masks = Masks()
        self._shared = _Caps(max_bytes, max_lines)
        # The caps of calls that run at once, by number, for lines that name their call.
        self._own: dict[int, _Caps] = {}
        # The ids of the last calls, by number up to ``_last_number``.
        self._past: deque[str] = deque(maxlen=PAST_CALLS)
        self._last_number = 0
        self._writers: dict[int, str] = {}  # ids of ended calls that have written since, by number

    def begin_call(self, running: int, number: int, call_id: str) -> None:
        """Begin another call, with which ``running`` calls run.  On an idle instance the caps start again.

        On a busy one a line may name no call.  Such lines share caps, to which each call adds its own; what
        is left is never more than the caps of the calls that run.
        """
        if number != self._last_number + 1:
            self._past.clear()
        self._past.append(call_id)
        self._last_number = number
        if running == 1:
            self.start_again()
            return
        shared = self._shared
        shared.bytes_left = min(max(0, shared.bytes_left) + self._max_bytes, running * self._max_bytes)
        shared.lines_left = min(max(0, shared.lines_left) + self._max_lines, running * self._max_lines)

    def start_again(self) -> None:
        """Start the caps again: no call runs."""
        self._say_dropped(self._shared, "")  # of a thread that an earlier call left behind
        self._shared.bytes_left, self._shared.lines_left = self._max_bytes, self._max_lines

    def take(self, lines: Iterable[Line], stream: Stream, whose: Callable[[int], str]) -> None:
        """Hand on the lines within the caps; count the rest.

        ``whose(number)`` is the id of a running call, or ""; of 0 the id of the call that runs alone.
        """
        for line in lines:
            call_id = whose(line.call)
            size, count = len(line.data), line.lines
            if line.call and call_id:
                own = self._own.get(line.call)
                if own is None:
                    own = self._own[line.call] = _Caps(self._max_bytes, self._max_lines)
                if not own.take(size, count):
                    continue
            elif line.call:
                call_id = self._id_of_ended(line.call)
            if self._shared.take(size, count):
                self._emit(call_id, stream, line)

    def _id_of_ended(self, number: int) -> str:
        """The id of a call that has ended and whose threads write on; "" if it is forgotten."""
        call_id = self._writers.pop(number, "")
        back = self._last_number - number
        if not call_id and 0 <= back < len(self._past):
            call_id = self._past[-1 - back]
        if call_id:
            self._writers[number] = call_id
            if len(self._writers) > PAST_WRITERS:
                del self._writers[next(iter(self._writers))]
        return call_id

    def say(self, level: Level, text: str, call_id: str = "") -> None:
        """Add a line of the platform's own to the function's log."""
        if self._journal is not None:
            self._journal.add(call_id, "platform", level, text)

    def _emit(self, call_id: str, stream: Stream, line: Line) -> None:
        if not self._is_emitted and self._journal is None:
            return
        text = text_of(self.masks.masked(line.data) if self.masks.maskers else line.data)
        if self._is_emitted:
            for part in text.split("\n"):
                log.info("%s %s %s: %s", self._origin, call_id or "-", stream, part)
        if self._journal is not None:
            self._journal.add(call_id, stream, line.level, text, line.is_failures)

    def end_call(self, call_id: str, number: int = 0, is_last: bool = True) -> None:
        """Log how many lines were dropped, if any were; ``is_last``: no other call runs."""
        if self._own and (own := self._own.pop(number, None)) is not None:
            self._say_dropped(own, call_id)
        if self._shared.dropped:
            self._say_dropped(self._shared, call_id if is_last else "")

    def _say_dropped(self, caps: _Caps, call_id: str) -> None:
        if not caps.dropped:
            return
        text = (
            f"{caps.dropped} log lines were dropped: "
            f"the call's limit is {self._max_lines} lines, {self._max_bytes} bytes"
        )
        if self._journal is not None:
            self._journal.dropped(caps.dropped)
        caps.dropped = 0
        log.warning("%s %s: %s", self._origin, call_id or "-", text)
        self.say("warning", text, call_id)
