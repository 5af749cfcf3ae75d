"""A function with ``fresh``: its worker becomes a template, which forks a process for each call, ahead of it.

The template has imported the module and never reads a call.  Its process is forked when nothing else of
the function runs, serves one call on the function's own pipes, and exits; then pid 1 kills what it left
(``worker.fresh.keeper``), this process empties /tmp and /dev/shm, and forks the next.

What an import leaves behind that a fork would share, or lose, cannot be made new in this way: then the
worker serves as any other does, and the front ends it after its one call.

A call's process has the template's user id.  It cannot trace it or look into it, but it can signal it:
the template blocks every signal and throws away what has come, so that a signal that no one can block
is left, which ends the cell, or stops it until the front's patience ends.
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

OURS = [0, 1, 2, 3, 4, SAID_FD, LEAVE_FD]


def serve() -> bool:
    """True in the process of a call; False where there is none, and this process serves one call itself.

    The template itself never returns.
    """
    why = _unfit()
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


def _unfit() -> bytes:
    """What the import left that two calls would share or that a fork would lose, as a word of wire.WHOLE."""
    if len(os.listdir("/proc/self/task")) != 1:
        return wire.WHOLE_THREADS
    try:
        os.waitpid(-1, os.WNOHANG)
        return wire.WHOLE_PROCESSES
    except ChildProcessError:
        pass
    if sys_.open_descriptors() != OURS:
        return wire.WHOLE_FILES
    with open("/proc/self/maps") as maps:
        # "7f... rw-s ...": shared with whoever is forked from here.
        if any(line.split(None, 2)[1][1::2] == "ws" for line in maps):
            return wire.WHOLE_MEMORY
    if any(os.listdir(folder) for folder in keeper.FOLDERS):
        return wire.WHOLE_TMP
    return b""


def _fork_for_each_call() -> None:
    """Returns in each child; ends with the cell."""
    output_capture.flush()
    every = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
    # What is here now is in no child's way: its collector never touches these pages.
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
            os.setsid()  # it may signal its group, which is not ours
            lockdown.fresh_randomness()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        _say(keeper.FORKED, pid)
        _, status = os.waitpid(pid, 0)
        _say(keeper.ENDED, status)
        if os.read(LEAVE_FD, 1) != keeper.GO:
            os._exit(0)


def _empty_the_folders() -> None:
    """Nobody else runs.  Bounded by the inodes that the folders may have; what resists costs the cell."""
    for folder in keeper.FOLDERS:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path)
            else:
                os.unlink(entry.path)


def _remove(folder: str) -> None:
    """All of it.  No ``shutil``: the author may have one, and few functions leave folders."""
    for base, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(base, name))
        for name in folders:
            path = os.path.join(base, name)
            (os.unlink if os.path.islink(path) else os.rmdir)(path)
    os.rmdir(folder)


def _say(word: bytes, number: int = 0) -> None:
    os.write(SAID_FD, keeper.MESSAGE.pack(word, number))
