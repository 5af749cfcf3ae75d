"""Both log pipes of one instance: read as they fill, and emptied before an answer is passed on."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable

from supervisor.front.logs.line_stamps import LineStamper
from supervisor.front.logs.pipe_parser import READS_TO_THE_BOTTOM, Line, PipeParser
from supervisor.front.outcome import stack_dumps

# Lines of the interpreter's stack dump that are kept: faulthandler writes 100 frames of 100 threads.
STACK_LINES_MOST = 2000
# At the end at most 640 KiB are read; a pipe holds 64 KiB, or up to 1 MiB if its writer enlarged it.
TURNS_TO_THE_END = 8


class LogPipes:
    """Owns the descriptors of stdout and stderr.

    ``whose(number)`` is the id of the call that a line names by ``number``; 0: the line names none.
    """

    def __init__(self, stdout: int, stderr: int, lines: LineStamper, whose: Callable[[int], str]) -> None:
        self.lines = lines
        # The stack dump, once the interpreter was made to write one.
        self._stack: list[bytes] | None = None
        self._view = stack_dumps.AuthorsView()
        self._whose = whose
        self._parsers = (PipeParser(stdout, "stdout"), PipeParser(stderr, "stderr"))
        self._has_rest = False
        self._poll = select.poll()
        self._loop = asyncio.get_running_loop()
        for parser in self._parsers:
            self._loop.add_reader(parser.descriptor, self._readable, parser)
            self._poll.register(parser.descriptor, select.POLLIN)

    @property
    def descriptors(self) -> list[int]:
        """The descriptors in the order of a lease."""
        return [parser.descriptor for parser in self._parsers]

    def expect_a_stack(self) -> bool:
        """Take lines of stderr for a stack dump from now on; False if it was expected already."""
        is_first = self._stack is None
        if is_first:
            self._stack = []
        return is_first

    def where(self) -> str:
        """Where the code stood by the stack dump; "" if that is not known."""
        return stack_dumps.where_of(self._stack or ())

    def read_for_answer(self, number: int, call_id: str, is_last: bool) -> None:
        """Read what a call wrote before its answer, while the call still counts as running.

        ``is_last``: no other call runs, so that unfinished lines are this one's.
        """
        has_more = bool(self._poll.poll(0))  # one system call, not two reads, which rarely find anything
        if has_more or self._has_rest:
            for parser in self._parsers:
                lines = parser.read(READS_TO_THE_BOTTOM)[0] if has_more else []
                lines += parser.last() if is_last else parser.last_of(number)
                if lines:
                    self._take(lines, parser)
            self._note_rest()
        self.lines.end_call(call_id, number, is_last)

    def _note_rest(self) -> None:
        """Note whether a parser holds an unfinished line: after most reads none does."""
        self._has_rest = any(parser.has_rest for parser in self._parsers)

    def read_to_the_end(self) -> None:
        """Read all that the pipes hold, unfinished lines too."""
        for parser in self._parsers:
            for _ in range(TURNS_TO_THE_END):
                lines, is_end = parser.read(READS_TO_THE_BOTTOM)
                self._take(lines, parser)
                if is_end or not lines:
                    break
            self._take(parser.last(), parser)

    def close(self) -> None:
        """Stop reading, and close the descriptors."""
        for parser in self._parsers:
            self._loop.remove_reader(parser.descriptor)
            os.close(parser.descriptor)

    def _readable(self, parser: PipeParser) -> None:
        lines, is_end = parser.read()
        if is_end:
            self._loop.remove_reader(parser.descriptor)
            lines += parser.last()
        if lines:
            self._take(lines, parser)
        self._note_rest()

    def _take(self, lines: list[Line], parser: PipeParser) -> None:
        if parser.name == "stderr":
            if self._stack is None and stack_dumps.is_fatal(lines):
                self._stack = []
            if self._stack is not None:
                # Only lines that came without a frame are the interpreter's.
                room = STACK_LINES_MOST - len(self._stack)
                self._stack += [line.data for line in lines if not line.call][:room]
                # The dump has hundreds of lines that the function did not write: mark them.
                lines = [line if line.call else line._replace(is_failures=True) for line in lines]
            lines = self._view.of(lines)
        self.lines.take(lines, parser.name, self._whose)
