"""Forks a process for each call of a ``fresh`` function, ahead of the call.

The worker becomes a *template*: it has imported the handler, and never reads a call.  It forks when nothing
else of the function runs.  The new process serves one call on the function's own pipes and exits.  Then pid 1
kills what that process has left behind (``worker.fresh.keeper``), the template empties /tmp and /dev/shm, and
forks the next process.

An import may leave something behind that all forks would share, or that a fork would lose, such as a thread.
Then the worker serves like any other, and the front ends it after its one call.

The process of a call has the template's user id.  It can neither trace the template nor read its memory, but
it can signal it.  The template blocks every signal and discards those that have come.  SIGKILL and SIGSTOP
are left: one ends the cell, the other stops it until the front runs out of patience.
"""

import gc
import os
import signal

from .. import _syscalls as sys_
from .. import wire
from ..capture import output_capture
from ..sandbox import lockdown
from ..sandbox.lockdown_state import LEAVE_FD, SAID_FD
from . import keeper

# The descriptors of a template: standard streams, channel, and the two pipes to pid 1.
TEMPLATE_FDS = [0, 1, 2, 3, 4, SAID_FD, LEAVE_FD]


def serve() -> bool:
    """Become a template; returns True in the process of each call, and never in the template itself.

    Returns False where the function cannot be forked: then this process serves one call itself.
    """
    why = _why_unfit()
    if why:
        _say(keeper.UNFIT, why[0])
    else:
        _say(keeper.FIT)
        if os.read(LEAVE_FD, 1) == keeper.GO:
            _fork_for_each_call()
            return True
    os.close(SAID_FD)
    os.close(LEAVE_FD)
    return False


def _why_unfit() -> bytes:
    """What the import has left that forks would share or lose: a key of ``wire.ONE_CALL``, or b""."""
    if len(os.listdir("/proc/self/task")) != 1:
        return wire.ONE_CALL_THREADS
    try:
        os.waitpid(-1, os.WNOHANG)
        return wire.ONE_CALL_PROCESSES
    except ChildProcessError:
        pass
    if sys_.open_descriptors() != TEMPLATE_FDS:
        return wire.ONE_CALL_FILES
    with open("/proc/self/maps") as maps:
        # "7f... rw-s ...": all processes that are forked from here would share it.
        if any(line.split(None, 2)[1][1::2] == "ws" for line in maps):
            return wire.ONE_CALL_MEMORY
    if any(os.listdir(folder) for folder in keeper.FOLDERS):
        return wire.ONE_CALL_TMP
    return b""


def _fork_for_each_call() -> None:
    """Fork for one call after another; returns in each child, and ends with the cell."""
    output_capture.flush()
    every = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
    # The garbage collector of a child never touches the objects of now, so their pages stay shared.
    gc.collect()
    gc.freeze()
    while True:
        while signal.sigtimedwait(every, 0) is not None:
            pass
        _empty_the_folders()
        pid = os.fork()
        if pid == 0:
            os.close(SAID_FD)
            os.close(LEAVE_FD)
            os.setsid()  # so that a signal to its process group does not reach us
            lockdown.fresh_randomness()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        _say(keeper.FORKED, pid)
        _, status = os.waitpid(pid, 0)
        _say(keeper.ENDED, status)
        if os.read(LEAVE_FD, 1) != keeper.GO:
            os._exit(0)


def _empty_the_folders() -> None:
    """Empty /tmp and /dev/shm while nobody else runs; a file that cannot be removed costs the cell.

    The number of files is bounded by the file systems' inodes.
    """
    for folder in keeper.FOLDERS:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path)
            else:
                os.unlink(entry.path)


def _remove(folder: str) -> None:
    """Remove a folder.  Not by ``shutil``: the author may have a module of that name, and it is large."""
    for base, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(base, name))
        for name in folders:
            path = os.path.join(base, name)
            (os.unlink if os.path.islink(path) else os.rmdir)(path)
    os.rmdir(folder)


def _say(word: bytes, number: int = 0) -> None:
    os.write(SAID_FD, keeper.MESSAGE.pack(word, number))
