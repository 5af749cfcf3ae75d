"""What pid 1 does between two calls of a function with ``fresh``: it sees to it that nothing is left.

    worker  -> pid 1   FIT | UNFIT why     its module is imported, and it can be forked from or not
    pid 1   -> worker  GO | NO             there is no process but these two (NO: the import left some)
    worker  -> pid 1   FORKED pid          the process of the next call is here
    pid 1   -> front   wire.CLEAN          the next call may be sent
    worker  -> pid 1   ENDED status        its call's process has been reaped
    pid 1   -> worker  GO                  whatever it had left is killed and reaped

The worker says so over a pipe that the process of a call has closed before it reads its call, and the
front hears it from pid 1 over a pipe that nobody else in the cell has: no process of a call can say that
it is over.  An order of words that may not be ends the cell, and so does a call's process that crashes.
"""

import os
import select
import signal
import struct
import time
from typing import Callable, Dict, List, NoReturn, Tuple

from .. import wire
from .kept_descriptors import Kept

MESSAGE = struct.Struct(">ci")
FIT, UNFIT, FORKED, ENDED = b"F", b"U", b"P", b"E"
GO, NO = b"g", b"n"

# Where a cell can leave files; nothing else is writable in it.
FOLDERS = ("/tmp", "/dev/shm")
# Of this process, which is alone on its thread.  All who lose their parent become its children, and only
# it can reap them: as long as anybody is alive, somebody is in this list.
CHILDREN = "/proc/1/task/1/children"
CHILDREN_BYTES = 4096
# The kernel ends even a hundred processes sooner; a cell that takes longer is cheaper to replace.
CLEAN_SECONDS = 1.0
REAPED_MS = 10


class Keeper:
    """Of one cell.  ``reap()`` collects the dead, ``leave(signal, code)`` ends the cell."""

    def __init__(
        self,
        said_fd: int,
        leave_fd: int,
        word_fd: int,
        wake_fd: int,
        kept: Kept,
        reap: Callable[[], None],
        leave: Callable[[int, int], NoReturn],
    ) -> None:
        self.said_fd = said_fd
        # The process that has the call, 0 between calls.
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
        """This function has no use for it."""
        self._kept.close()
        for descriptor in (self.said_fd, self._leave_fd, self._word_fd):
            os.close(descriptor)

    def cannot(self) -> None:
        """Here nobody can tell that nothing is left: each call needs a cell of its own."""
        os.write(self._word_fd, wire.WHOLE_NO_NAMESPACES)
        self.close()

    def hear(self) -> bool:
        """The worker's next word; False when there will be no other."""
        data = os.read(self.said_fd, MESSAGE.size)
        if not data:
            return False
        # From here on the bytes are hostile.
        word, number = MESSAGE.unpack(data) if len(data) == MESSAGE.size else (b"", 0)
        if word not in self._expected:
            self._leave(0, 1)
        if word == UNFIT:
            why = bytes([number & 0xFF])
            if why not in wire.WHOLE:
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
            why = wire.WHOLE_PROCESSES if self._others() else b""
        except OSError:  # a kernel without CONFIG_PROC_CHILDREN
            why = wire.WHOLE_NO_LIST
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
            self._leave(0, 1)  # a signal to it would be one to us or to all
        for folder in FOLDERS:
            if os.listdir(folder):
                self._leave(0, 1)  # the worker has said by its fork that it is empty
            # Always: when it was listed or written to last is what a call before has done.
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
        """What all calls share of open files; nobody is left who could change them."""
        try:
            return self._kept.reset()
        except OSError:  # a new cell has new pipes
            self._leave(0, 1)

    def _others(self) -> List[int]:
        """Our children but for the worker, which is the first; those that have died included."""
        text = os.pread(self._children_fd, CHILDREN_BYTES, 0)
        # The end of a long list may be half a number.
        return [int(pid) for pid in text[: text.rfind(b" ")].split()[1:]]
