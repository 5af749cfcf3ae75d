"""What pid 1 does between two calls of a ``fresh`` function: it makes sure that nothing is left of the first.

    worker  -> pid 1   FIT | UNFIT why     the handler is imported; the worker can be forked, or why not
    pid 1   -> worker  GO | NO             no process is left but these two (NO: the import left some)
    worker  -> pid 1   FORKED pid          the process of the next call exists
    pid 1   -> front   wire.CLEAN          the next call may be sent
    worker  -> pid 1   ENDED status        the process of the call has been reaped
    pid 1   -> worker  GO                  everything that it left is killed and reaped

The process of a call cannot claim that its call is over.  It closes the pipe to pid 1 before it reads the
call, and only pid 1 has the pipe to the front.  A message out of order ends the cell, and so does a call's
process that crashes.
"""

import os
import select
import signal
import struct
import time
from typing import Callable, Dict, List, NoReturn, Tuple

from .. import wire
from .kept_descriptors import KeptDescriptors

MESSAGE = struct.Struct(">ci")
FIT, UNFIT, FORKED, ENDED = b"F", b"U", b"P", b"E"
GO, NO = b"g", b"n"

# The only places where a cell can write files.
FOLDERS = ("/tmp", "/dev/shm")
# The children of pid 1, which has one thread.  A process that loses its parent becomes a child of pid 1, and
# only pid 1 can reap it.  So the list is not empty as long as any process is left.
CHILDREN = "/proc/1/task/1/children"
CHILDREN_BYTES = 4096
# The kernel ends a hundred processes in less time; a cell that takes longer is cheaper to replace.
CLEAN_SECONDS = 1.0
# How long pid 1 waits for killed processes before it looks again.
REAPED_MS = 10


class Keeper:
    """The keeper of one cell; ``reap()`` collects dead processes, ``leave(signal, code)`` ends the cell."""

    def __init__(
        self,
        said_fd: int,
        leave_fd: int,
        word_fd: int,
        wake_fd: int,
        kept: KeptDescriptors,
        reap: Callable[[], None],
        leave: Callable[[int, int], NoReturn],
    ) -> None:
        self.said_fd = said_fd
        # The pid of the process that has the call, 0 between calls.
        self.serving = 0
        self._leave_fd = leave_fd
        self._word_fd = word_fd
        self._wake = select.poll()
        self._wake.register(wake_fd, select.POLLIN)
        self._kept = kept
        self._reap = reap
        self._leave = leave
        self._expected: Tuple[bytes, ...] = (FIT, UNFIT)
        self._children_fd = -1
        self._times: Dict[str, Tuple[int, int]] = {}

    def close(self) -> None:
        """Close all descriptors: the function is not ``fresh``."""
        self._kept.close()
        for descriptor in (self.said_fd, self._leave_fd, self._word_fd):
            os.close(descriptor)

    def cannot(self) -> None:
        """Tell the front that each call needs its own cell: without namespaces nobody finds every process."""
        os.write(self._word_fd, wire.ONE_CALL_NO_NAMESPACES)
        self.close()

    def hear(self) -> bool:
        """Handle the worker's next message; False when there will be no other."""
        data = os.read(self.said_fd, MESSAGE.size)
        if not data:
            return False
        # From here on the bytes are hostile.
        word, number = MESSAGE.unpack(data) if len(data) == MESSAGE.size else (b"", 0)
        if word not in self._expected:
            self._leave(0, 1)
        if word == UNFIT:
            why = bytes([number & 0xFF])
            if why not in wire.ONE_CALL:
                self._leave(0, 1)
            self._kept.close()
            os.write(self._word_fd, why)
            self._expected = ()
        elif word == FIT:
            self._begin()
        elif word == FORKED:
            self._forked(number)
        else:
            self._ended(number)
        return True

    def _begin(self) -> None:
        try:
            self._children_fd = os.open(CHILDREN, os.O_RDONLY)
            why = wire.ONE_CALL_PROCESSES if self._others() else b""
        except OSError:  # a kernel without CONFIG_PROC_CHILDREN
            why = wire.ONE_CALL_NO_LIST
        for folder in FOLDERS:
            found = os.stat(folder)
            self._times[folder] = (found.st_atime_ns, found.st_mtime_ns)
        os.write(self._leave_fd, NO if why else GO)
        if why:
            self._kept.close()
            os.write(self._word_fd, why)
        self._expected = () if why else (FORKED,)

    def _forked(self, pid: int) -> None:
        if pid < 2:
            self._leave(0, 1)  # signalling such a pid would reach pid 1, or every process
        for folder in FOLDERS:
            if os.listdir(folder):
                self._leave(0, 1)  # the worker has to empty it before it forks
            # The times would tell the next call when the last one read or wrote the folder.
            os.utime(folder, ns=self._times[folder])
        self.serving = pid
        self._expected = (ENDED,)
        os.write(self._word_fd, wire.CLEAN)

    def _ended(self, status: int) -> None:
        self.serving = 0
        if os.WIFSIGNALED(status):
            self._leave(os.WTERMSIG(status), 0)
        if status:
            self._leave(0, os.WEXITSTATUS(status))
        until = time.monotonic() + CLEAN_SECONDS
        while True:
            others = self._others()
            if not others and self._is_as_it_was():
                break
            if time.monotonic() > until:
                self._leave(0, 1)
            for pid in others:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:  # dead, and about to be reaped
                    pass
            self._wake.poll(REAPED_MS)
            self._reap()
        self._expected = (FORKED,)
        os.write(self._leave_fd, GO)

    def _is_as_it_was(self) -> bool:
        """Reset the open files that all calls share, as no process can change them now; False if not yet."""
        try:
            return self._kept.reset()
        except OSError:  # a new cell gets new pipes
            self._leave(0, 1)

    def _others(self) -> List[int]:
        """The children of pid 1, dead ones included, but for the worker, which is the first."""
        text = os.pread(self._children_fd, CHILDREN_BYTES, 0)
        # The last number of a long list may be cut off.
        return [int(pid) for pid in text[: text.rfind(b" ")].split()[1:]]
