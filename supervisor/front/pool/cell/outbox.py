"""Bytes on their way to a cell: what its pipe does not take at once waits here."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Callable


def bytes_in(descriptor: int) -> int:
    """How many bytes a pipe holds; ``descriptor`` is either end of it."""
    in_pipe = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", in_pipe)[0])


class Outbox:
    """The front's end of the request pipe; ``concurrency`` bodies of ``max_request`` bound it."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self.descriptor = descriptor
        self.total = 0  # all bytes ever written; the position of a call's last byte is a number of these
        self._refused = 0  # the bytes among them that a broken pipe refused
        self._waiting: deque[memoryview] = deque()
        self._on_broken = on_broken
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_empty(self) -> bool:
        """Whether the pipe has taken everything."""
        return not self._waiting

    def write(self, data: bytes | bytearray) -> None:
        """Write now what the pipe takes, and the rest as soon as the cell reads."""
        self.total += len(data)
        rest = memoryview(data)
        if not self._waiting:
            rest = self._write_some(rest)
            if not rest:
                return
            self._loop.add_writer(self.descriptor, self._writable)
        self._waiting.append(rest)

    def read_by_cell(self) -> int:
        """How many of ``total`` bytes the cell has read; right also for a dead cell."""
        if self._is_closed:
            return self.total  # nothing was left in the pipe
        unread = bytes_in(self.descriptor) + self._refused + sum(map(len, self._waiting))
        return self.total - unread

    def stop(self) -> None:
        """Stop writing; the descriptor stays open."""
        self._waiting.clear()
        self._loop.remove_writer(self.descriptor)

    def close(self) -> None:
        """Close the pipe, so that the cell reads its end.  Calling it again does nothing."""
        if not self._is_closed:  # a closed descriptor's number may be in use for another file
            self._is_closed = True
            self.stop()
            os.close(self.descriptor)

    def _write_some(self, data: memoryview) -> memoryview:
        try:
            return data[os.write(self.descriptor, data) :]
        except BlockingIOError:
            return data
        except OSError:  # EPIPE: the cell is gone, and its reply pipe ends too
            self._refused += len(data)
            self._on_broken()
            return data[len(data) :]

    def _writable(self) -> None:
        while self._waiting:
            rest = self._write_some(self._waiting[0])
            if rest:
                self._waiting[0] = rest
                return
            if self._waiting:
                self._waiting.popleft()
        self._loop.remove_writer(self.descriptor)
