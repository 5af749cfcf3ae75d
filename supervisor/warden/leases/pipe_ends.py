"""The pipes between a cell and whoever leases it: made by the warden, lent to a front, and taken back or not.

A front may have been taken over.  What it hands back goes to another front, so it has to be what was lent,
and its flags are nobody's but the next holder's: a pipe that waits would stop that one's loop.
"""

from __future__ import annotations

import fcntl
import functools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisor.datagrams import discard
from supervisor.warden.all_steps import all_of

# Of the two log pipes: the cell's user may open its end again by name, as /dev/stdout, to write and for
# nothing else.  Nobody but the cell has a name for it.
LOG_MODE = 0o622

# (device, inode, access mode) of one end.
End = tuple[int, int, int]


def _end_of(descriptor: int) -> End | None:
    """Which end of which pipe it is; None for what is no pipe."""
    found = os.fstat(descriptor)
    if not stat.S_ISFIFO(found.st_mode):
        return None
    return found.st_dev, found.st_ino, fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE


def five_pipes() -> tuple[Pipes, list[int]]:
    """Our ends and the cell's of request, reply, stdout, stderr and word; all or, on OSError, none."""
    made: list[tuple[int, int]] = []
    try:
        for _ in range(5):
            made.append(os.pipe())
    except OSError:
        for pipe in made:
            for descriptor in pipe:
                os.close(descriptor)
        raise
    (request_read, request_write), *to_us = made
    (reply, stdout, stderr, word) = (read for read, _ in to_us)
    ours = Pipes(request_write, reply, stdout, stderr, word)
    for descriptor in (stdout, stderr):
        os.fchmod(descriptor, LOG_MODE)
    for descriptor in ours.as_list():
        # Flags of our own ends: a cell shares none of these open file descriptions.
        os.set_blocking(descriptor, False)
    return ours, [request_read, *(write for _, write in to_us)]


@dataclass
class Pipes:
    """The trusted ends: what a front gets with a lease.

    ``word``, what pid 1 has to say between calls, is there only for functions with ``fresh``.
    """

    request: int
    reply: int
    stdout: int
    stderr: int
    word: int = -1
    # What they were when a front got them.
    _lent: list[End | None] = field(default_factory=list)

    def as_list(self) -> list[int]:
        """In the order in which a lease carries them."""
        four = [self.request, self.reply, self.stdout, self.stderr]
        return four if self.word < 0 else [*four, self.word]

    def close_word(self) -> None:
        """There will be none."""
        if self.word >= 0:
            os.close(self.word)
            self.word = -1

    def close(self) -> None:
        """Close what is still ours; after it the numbers are nobody's."""
        ours = [descriptor for descriptor in self.as_list() if descriptor >= 0]
        self.request = self.reply = self.stdout = self.stderr = self.word = -1
        all_of("pipes", *(functools.partial(os.close, descriptor) for descriptor in ours))

    def lent(self) -> list[int]:
        """The ends for a front; which they are is remembered."""
        descriptors = self.as_list()
        self._lent = [_end_of(descriptor) for descriptor in descriptors]
        return descriptors

    def are(self, descriptors: Sequence[int]) -> bool:
        """Whether these are the ends that were lent, each in its place."""
        # From here on the bytes are hostile.
        return [_end_of(descriptor) for descriptor in descriptors] == self._lent

    def take_back(self, descriptors: Sequence[int]) -> None:
        """Have them again, opened anew: flags belong to an open file, which whoever had these may keep.

        OSError when the cell has closed its end, or there is no descriptor left; the given ones are closed.
        """
        opened: list[int] = []
        try:
            for descriptor, end in zip(descriptors, self._lent, strict=True):
                assert end is not None
                flags = end[2] | os.O_NONBLOCK | os.O_CLOEXEC
                opened.append(os.open(f"/proc/self/fd/{descriptor}", flags))
        except OSError:
            discard(opened)
            raise
        finally:
            discard(descriptors)
        self.request, self.reply, self.stdout, self.stderr = opened
