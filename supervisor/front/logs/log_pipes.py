"""Both log pipes of one instance: read as they fill, and to the bottom before an answer is told."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable

from supervisor.front.logs.line_stamps import LogLines
from supervisor.front.logs.pipe_parser import READS_TO_THE_BOTTOM, Line, Stream
from supervisor.front.outcome import stack_dumps

# Of a stack that the interpreter wrote, what is looked at: faulthandler writes 100 frames of 100 threads.
STACK_LINES_MOST = 2000
# A pipe holds 64 KiB, or a mebibyte where its writer made it larger.
TURNS_TO_THE_END = 8


class LogPipes:
    """Owns the descriptors of stdout and stderr.

    ``whose(call)`` is the call id of a line that comes now and names that call, or (0) none.
    """

    def __init__(self, stdout: int, stderr: int, lines: LogLines, whose: Callable[[int], str]) -> None:
        self.lines = lines
        # What the interpreter was made to write, once it was.
        self._stack: list[bytes] | None = None
        self._view = stack_dumps.AuthorsView()
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
        return stack_dumps.where_of(self._stack or ())

    def read_for_answer(self, number: int, call_id: str, is_last: bool) -> None:
        """What was written before an answer, of a call that still counts as running.

        ``is_last``: no other runs that would end a line.
        """
        has_more = self._poll.poll(0)  # one system call, where two reads nearly always find nothing
        for stream in self._streams:
            if has_more or stream.has_rest:
                lines = stream.read(READS_TO_THE_BOTTOM)[0] if has_more else []
                lines += stream.last() if is_last else stream.last_of(number)
                if lines:
                    self._take(lines, stream)
        self.lines.end_call(call_id, number, is_last)

    def read_to_the_end(self) -> None:
        """All that is there, unfinished lines too."""
        for stream in self._streams:
            for _ in range(TURNS_TO_THE_END):
                lines, is_end = stream.read(READS_TO_THE_BOTTOM)
                self._take(lines, stream)
                if is_end or not lines:
                    break
            self._take(stream.last(), stream)

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
            self._take(lines, stream)

    def _take(self, lines: list[Line], stream: Stream) -> None:
        if stream.name == "stderr":
            if self._stack is None and stack_dumps.is_fatal(lines):
                self._stack = []
            if self._stack is not None:
                # The interpreter itself writes no frames.
                room = STACK_LINES_MOST - len(self._stack)
                self._stack += [line.data for line in lines if not line.call][:room]
                # A call that has to be ended leaves hundreds of them: they are not what its function wrote.
                lines = [line if line.call else line._replace(is_failures=True) for line in lines]
            lines = self._view.of(lines)
        self.lines.take(lines, stream.name, self._whose)
