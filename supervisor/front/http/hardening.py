"""What a front does to itself before it reads a byte from the network.

The launcher has already given it a root of its own, an ordinary user, no capability and
``no_new_privs``; here is what only the running process can do.
"""

from __future__ import annotations

import ctypes
import os
import signal

from seccomp.compiler import compile_profile
from seccomp.install import install
from seccomp.profile import load

PROFILE = "front"
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
M_MMAP_THRESHOLD = -3
# Above the buffer that each msgpack.Packer has for a moment, which would cost each call two system calls.
LARGE_BLOCK_BYTES = 320 << 10


def _prctl(option: int, value: int) -> None:
    # The standard library has no prctl; the warden's own wrapper is on the other side of the wall.
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def die_with_parent() -> None:
    """SIGKILL for this process when its parent dies; lost by every change of ids, so late."""
    _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def keep_bodies_apart() -> None:
    """Large blocks of memory go back to the kernel as soon as they are free.

    glibc by itself keeps more of them the larger the last ones were, and they lie about in the heap: one
    caller's bodies would make a front large for good.
    """
    # A libc without it (musl) has no such habit.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def confine() -> None:
    """No core, no tracer, and no system call that a front never makes; its workers inherit it.

    A process that keeps its ids through the launcher's steps is still dumpable, so here for all of them.
    """
    _prctl(PR_SET_DUMPABLE, 0)
    install(compile_profile(load(PROFILE), os.uname().machine))
