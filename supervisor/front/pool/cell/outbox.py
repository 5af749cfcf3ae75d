"""Bytes on their way to a cell: what its pipe does not take now waits here."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Callable


def bytes_in(descriptor: int) -> int:
    """How many bytes a pipe holds; either end of it tells."""
    in_pipe = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", in_pipe)[0])


class Outbox:
    """The request pipe's end.  Bounded by the gateway: ``concurrency`` bodies of ``max_request`` each."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self.descriptor = descriptor
        # All bytes that were ever given to it: a call's end is a number of these.
        self.total = 0
        # Of these, bytes that the pipe refused for good.
        self._refused = 0
        self._waiting: deque[memoryview] = deque()
        self._on_broken = on_broken
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_empty(self) -> bool:
        """Whether the pipe has taken everything."""
        return not self._waiting

    def write(self, data: bytes | bytearray) -> None:
        """Now, or as soon as the cell reads."""
        self.total += len(data)
        rest = memoryview(data)
        if not self._waiting:
            rest = self._write_some(rest)
            if not rest:
                return
            self._loop.add_writer(self.descriptor, self._writable)
        self._waiting.append(rest)

    def read_by_cell(self) -> int:
        """How many of all bytes the cell has taken out of the pipe; true also when it is dead."""
        if self._is_closed:
            return self.total  # nothing was in it any more
        unread = bytes_in(self.descriptor) + self._refused + sum(map(len, self._waiting))
        return self.total - unread

    def stop(self) -> None:
        """Write no more; the descriptor stays."""
        self._waiting.clear()
        self._loop.remove_writer(self.descriptor)

    def close(self) -> None:
        """The cell reads the end of it; once nothing waits here.  Safe to be done again."""
        if not self._is_closed:  # then its number may be another's
            self._is_closed = True
            self.stop()
            os.close(self.descriptor)

    def _write_some(self, data: memoryview) -> memoryview:
        try:
            return data[os.write(self.descriptor, data) :]
        except BlockingIOError:
            return data
        except OSError:  # EPIPE: the cell is gone, its reply pipe says so too
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
