"""What an instance writes, counted, stamped here and nowhere else, and told to whoever keeps it.

A line is text, and what a frame says of it is the cell's word.  Whose it is, of which call and when is ours:
a call that does not run on that instance, and never did, is not believed, so a function cannot forge
another's record.  Caps count per call; what is above them is dropped and counted.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable

from supervisor.front.logs.pipe_parser import Line
from supervisor.front.logs.recorder import Journal
from supervisor.logs import Level, Stream

log = logging.getLogger("cellblock.function")

# A thread may outlive its call, and writes on: so many calls of an instance are remembered that were last,
# and of those before so many that have written since.
PAST_CALLS = 256
PAST_WRITERS = 64

# What a terminal acts on, C1 and the bidirectional controls included, and what other readers end a line at.
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# The same of an entry of many lines.
CONTROL_IN_ENTRY = re.compile(CONTROL.pattern.replace("\x0a", "\x0b", 1))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def text_of(data: bytes) -> str:
    """A line or an entry as text that no terminal and no reader of lines acts on."""
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return (CONTROL_IN_ENTRY if "\n" in text else CONTROL).sub(_escape, text)


class _Caps:
    """What is left, and what was dropped."""

    __slots__ = ("bytes_left", "dropped", "lines_left")

    def __init__(self, bytes_left: int, lines_left: int) -> None:
        self.bytes_left = bytes_left
        self.lines_left = lines_left
        self.dropped = 0

    def take(self, size: int, lines: int) -> bool:
        """Whether so much more is within them; once it was not, what is smaller is not either."""
        self.bytes_left -= size
        self.lines_left -= lines
        if self.bytes_left < 0 or self.lines_left < 0:
            self.dropped += lines
            return False
        return True


class LogLines:
    """Counts the lines of one instance and tells them on."""

    def __init__(
        self, origin: str, max_bytes: int, max_lines: int, is_emitted: bool, journal: Journal | None = None
    ) -> None:
        """``is_emitted`` to the server's own log, a line each; ``journal`` keeps them."""
        self._origin = origin
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._is_emitted = is_emitted
        self._journal = journal
        self._shared = _Caps(max_bytes, max_lines)
        # Of calls that run at once and say which line is theirs.
        self._own: dict[int, _Caps] = {}
        # The ids of the last calls, in the order of their numbers, of which this is the last.
        self._past: deque[str] = deque(maxlen=PAST_CALLS)
        self._last_number = 0
        self._writers: dict[int, str] = {}

    def begin_call(self, running: int, number: int, call_id: str) -> None:
        """Another call runs, so many with it: the caps of an idle instance start again.

        Of a busy one nobody can tell whose an unnamed line is: each call brings its own caps along, and
        what is left of them is never more than those of the calls that run.
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
        """Nothing runs that was here before: the caps are whole."""
        self._say_dropped(self._shared, "")  # what a thread wrote that an earlier call left behind
        self._shared.bytes_left, self._shared.lines_left = self._max_bytes, self._max_lines

    def take(self, lines: Iterable[Line], stream: Stream, whose: Callable[[int], str]) -> None:
        """Tell what is within the caps; count the rest.

        ``whose(call)`` is the id of a call that runs here by its number, else ""; of 0 the only one's.
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
                call_id = self._ended(line.call)
            if self._shared.take(size, count):
                self._tell(call_id, stream, line)

    def _ended(self, number: int) -> str:
        """The id of a call that is over, whose threads write on; "" where nobody remembers it."""
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
        """The platform's own word, among the function's."""
        if self._journal is not None:
            self._journal.add(call_id, "platform", level, text)

    def _tell(self, call_id: str, stream: Stream, line: Line) -> None:
        if not self._is_emitted and self._journal is None:
            return
        text = text_of(line.data)
        if self._is_emitted:
            for part in text.split("\n"):
                log.info("%s %s %s: %s", self._origin, call_id or "-", stream, part)
        if self._journal is not None:
            self._journal.add(call_id, stream, line.level, text, line.is_failures)

    def end_call(self, call_id: str, number: int = 0, is_last: bool = True) -> None:
        """Say how much was dropped, if anything was; ``is_last``: no other call runs."""
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
        caps.dropped = 0
        log.warning("%s %s: %s", self._origin, call_id or "-", text)
        self.say("warning", text, call_id)
