"""Both log pipes of one instance: read as they fill, and to the bottom before an answer is told."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable

from supervisor.front import stacks
from supervisor.front.loglines import LogLines, Stream

# Of a stack that the interpreter wrote, what is looked at: faulthandler writes 100 frames of 100 threads.
STACK_LINES_MOST = 2000


class LogPipes:
    """Owns the descriptors of stdout and stderr.  ``whose()`` is the call id of a line that comes now."""

    def __init__(self, stdout: int, stderr: int, lines: LogLines, whose: Callable[[], str]) -> None:
        self.lines = lines
        # What the interpreter was made to write, once it was.
        self._stack: list[bytes] | None = None
        self._whose = whose
        self._streams = (Stream(stdout, "stdout"), Stream(stderr, "stderr"))
        self._poll = select.poll()
        self._loop = asyncio.get_running_loop()
        for stream in self._streams:
            self._loop.add_reader(stream.descriptor, self._readable, stream)
            self._poll.register(stream.descriptor, select.POLLIN)

    @property
    def descriptors(self) -> list[int]:
        """In the order in which a lease has them."""
        return [stream.descriptor for stream in self._streams]

    def expect_a_stack(self) -> bool:
        """From now on stderr may have one; False when it was expected already."""
        is_first = self._stack is None
        if is_first:
            self._stack = []
        return is_first

    def where(self) -> str:
        """The place that the expected stack names; "" for none."""
        return stacks.where_of(self._stack or ())

    def read_for_answer(self, call_id: str, is_last: bool) -> None:
        """What was written before an answer; ``is_last``: no other call runs that would end a line."""
        has_more = self._poll.poll(0)  # one system call, where two reads nearly always find nothing
        for stream in self._streams:
            if has_more or stream.has_rest:
                lines = stream.read()[0] if has_more else []
                if is_last:
                    lines += stream.last()
                if lines:
                    self._take(lines, stream, call_id if is_last else "")
        self.lines.end_call(call_id)

    def read_to_the_end(self, call_id: str) -> None:
        """All that is there, unfinished lines too."""
        for stream in self._streams:
            lines, _ = stream.read()
            self._take(lines + stream.last(), stream, call_id)

    def close(self) -> None:
        """Listen no more."""
        for stream in self._streams:
            self._loop.remove_reader(stream.descriptor)
            os.close(stream.descriptor)

    def _readable(self, stream: Stream) -> None:
        lines, is_end = stream.read()
        if is_end:
            self._loop.remove_reader(stream.descriptor)
            lines += stream.last()
        if lines:
            self._take(lines, stream, self._whose())

    def _take(self, lines: list[bytes], stream: Stream, call_id: str) -> None:
        if self._stack is not None and stream.name == "stderr":
            self._stack += lines[: STACK_LINES_MOST - len(self._stack)]
        self.lines.take(lines, stream.name, call_id)
