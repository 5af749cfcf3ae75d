"""A launcher that is forked early, while the server is small, and waits to become the first zygote.

The server's first answer waits for its first zygote, and a third of a zygote's start goes into starting an
interpreter and importing the launcher.  A forked launcher has both already.  Once it is told its launch it
takes the steps and execs, as any launcher does.  Until then nothing hostile runs, and the memory that it
shares with the server is gone with the exec.
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


class ZygoteStandby:
    """The server's handle of such a launcher."""

    def __init__(self) -> None:
        """Fork it.  Only while this process has one thread.  Raises OSError."""
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
        """Tell it, once, what to become.  It gets ``descriptors`` under the same numbers.  Raises OSError."""
        tell(self._sock, self.pid, BecomeZygote(launch, list(descriptors)), descriptors)

    def dismiss(self) -> None:
        """Let it end: nobody needs it."""
        self._sock.close()


_begun: list[ZygoteStandby] = []


def begin() -> None:
    """Fork the launcher that ``begun`` returns later."""
    with contextlib.suppress(OSError):  # without it, the first zygote is launched like the others
        _begun.append(ZygoteStandby())


def begun() -> ZygoteStandby | None:
    """The launcher that ``begin`` forked; only the first call gets it."""
    return _begun.pop() if _begun else None


def _wait(sock: socket.socket, not_ours: socket.socket) -> NoReturn:
    """The process itself: wait, take the steps, exec."""
    try:
        sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
        not_ours.close()
        # Ctrl-C at a terminal signals the whole process group; only the warden shall get it, and drain.
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), 0)
        told, descriptors = heard(sock)
        if told is not None:
            assert isinstance(told, BecomeZygote)
            _give_numbers(descriptors, told.numbers)
            become(told.launch)
    except SystemExit:
        pass  # a step has failed, and printed why
    except BaseException as error:  # never let this fork go on as a second server
        sys.stderr.write(f"cellblock: a launcher ended: {error!r}\n")
    os._exit(1)


def _give_numbers(descriptors: Sequence[int], numbers: Sequence[int]) -> None:
    """Move each descriptor to its number, for the program that exec runs."""
    # First move all above every target, so that no dup2 overwrites one that is still needed.
    free = max([2, *descriptors, *numbers]) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, free) for descriptor in descriptors]
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
