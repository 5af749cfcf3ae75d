"""The pipes between a cell and its front: the warden makes them, lends its ends, and takes them back.

A front may have been taken over by an attacker, and another front gets what it returns.  So the warden checks
that the returned ends are those that it lent, and opens them anew: otherwise the first front could still
change their flags, and a blocking pipe would stop the second front's event loop.
"""

from __future__ import annotations

import fcntl
import functools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisor.datagrams import discard
from supervisor.warden.all_steps import take_all_steps

# The mode of the two log pipes: the cell's user may open them by name, as /dev/stdout, but only to write.
LOG_MODE = 0o622

# What identifies one end of a pipe: device, inode, access mode.
End = tuple[int, int, int]


def _end_of(descriptor: int) -> End | None:
    """The pipe end behind a descriptor; None if it is not a pipe."""
    found = os.fstat(descriptor)
    if not stat.S_ISFIFO(found.st_mode):
        return None
    return found.st_dev, found.st_ino, fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE


def five_pipes() -> tuple[Pipes, list[int]]:
    """Make the pipes request, reply, stdout, stderr and word.

    Returns our ends and the cell's.  Raises OSError.
    """
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
        # The cell does not share the open files of our ends, so it cannot change this back.
        os.set_blocking(descriptor, False)
    return ours, [request_read, *(write for _, write in to_us)]


@dataclass(eq=False, repr=False)
class Pipes:
    """The warden's ends, which a front gets with a lease.

    ``word`` carries what pid 1 says between calls; only functions with ``fresh`` have it.
    """

    request: int
    reply: int
    stdout: int
    stderr: int
    word: int = -1
    # The ends as they were lent.
    _lent: list[End | None] = field(default_factory=list)

    def as_list(self) -> list[int]:
        """The descriptors, in the order in which a lease carries them."""
        four = [self.request, self.reply, self.stdout, self.stderr]
        return four if self.word < 0 else [*four, self.word]

    def close_word(self) -> None:
        """Close ``word``, for a function without ``fresh``."""
        if self.word >= 0:
            os.close(self.word)
            self.word = -1

    def close(self) -> None:
        """Close the ends that are open."""
        ours = [descriptor for descriptor in self.as_list() if descriptor >= 0]
        self.request = self.reply = self.stdout = self.stderr = self.word = -1
        take_all_steps("pipes", *(functools.partial(os.close, descriptor) for descriptor in ours))

    def lent(self) -> list[int]:
        """The descriptors to lend to a front.  Remembers which ends they are."""
        descriptors = self.as_list()
        self._lent = [_end_of(descriptor) for descriptor in descriptors]
        return descriptors

    def are(self, descriptors: Sequence[int]) -> bool:
        """Whether these are the ends that were lent, in the same order."""
        # From here on the bytes are hostile.
        return [_end_of(descriptor) for descriptor in descriptors] == self._lent

    def take_back(self, descriptors: Sequence[int]) -> None:
        """Take the ends back, each opened anew, because the front may have kept the old open files.

        Closes ``descriptors``.  Raises OSError if the cell has closed its end, or if descriptors run out.
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
