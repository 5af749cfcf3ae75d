"""The first zygote's launcher: forked while the server was small, it waits to be told what to become.

Starting an interpreter and importing the launcher's steps takes a third of a zygote's start, and the
server's first answer waits for the first zygote.  This launcher has done both already: it is told its
launch, takes the steps and execs, as any other.  Until then nothing hostile exists, and what it shares with
the server ends at the exec.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.launch.launcher import Launch, become
from supervisor.warden.launch.standby_messages import BecomeZygote, heard, tell


class WaitingLauncher:
    """The server's end of one: it becomes what one launch says."""

    def __init__(self) -> None:
        """It waits at once.  OSError.  Only while this process has one thread: it forks."""
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with theirs:
            try:
                self.pid = os.fork()
            except OSError:
                self._sock.close()
                raise
            if self.pid == 0:
                _wait(theirs, self._sock)

    def become(self, launch: Launch, descriptors: Sequence[int]) -> None:
        """Tell it, once; it has ``descriptors`` under the same numbers.  OSError."""
        tell(self._sock, self.pid, BecomeZygote(launch, list(descriptors)), descriptors)

    def dismiss(self) -> None:
        """Nobody will tell it anything: it ends."""
        self._sock.close()


_begun: list[WaitingLauncher] = []


def begin() -> None:
    """Fork the one of this process's own server, as early as there is one to be."""
    with contextlib.suppress(OSError):  # a launcher that is started when it is needed does as well
        _begun.append(WaitingLauncher())


def begun() -> WaitingLauncher | None:
    """The one that ``begin`` forked, once."""
    return _begun.pop() if _begun else None


def _wait(sock: socket.socket, not_ours: socket.socket) -> NoReturn:
    """The process itself: wait, take the steps, exec."""
    try:
        sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
        not_ours.close()
        # Ctrl-C at a terminal goes to the whole group: it is for the warden, which drains.
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), 0)
        told, descriptors = heard(sock)
        if told is not None:
            assert isinstance(told, BecomeZygote)
            _give_numbers(descriptors, told.numbers)
            become(told.launch)
    except SystemExit:
        pass  # a step has failed, and said so
    except BaseException as error:  # the last door: this process is no second server
        sys.stderr.write(f"cellblock: a launcher ended: {error!r}\n")
    os._exit(1)


def _give_numbers(descriptors: Sequence[int], numbers: Sequence[int]) -> None:
    """Each descriptor under its number, for the program that is to be."""
    # Out of each other's way first.
    free = max([2, *descriptors, *numbers]) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, free) for descriptor in descriptors]
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
