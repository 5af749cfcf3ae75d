"""Confines a front's process before it reads a byte from the network.

The launcher has already given it a root of its own, an ordinary user, no capability and ``no_new_privs``.
The steps here are those that only the running process can take.
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
# Larger than the buffer that each msgpack.Packer allocates, or each call would cost two system calls.
LARGE_BLOCK_BYTES = 320 << 10


def _prctl(option: int, value: int) -> None:
    # The standard library has no prctl, and a front may not import the warden's wrapper.
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies.  A change of ids clears it: call it last."""
    _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def keep_bodies_apart() -> None:
    """Give large blocks of memory back to the kernel as soon as they are free.

    By itself glibc raises its threshold with the size of the blocks it frees, and keeps them in the heap: one
    caller's bodies would make a front large for good.
    """
    # A libc without mallopt (musl) has no such threshold.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def confine() -> None:
    """Allow no core dump, no tracer and no system call that a front never makes; workers inherit it.

    The launcher's change of ids already makes most fronts non-dumpable, but not one that keeps its ids.
    """
    _prctl(PR_SET_DUMPABLE, 0)
    install(compile_profile(load(PROFILE), os.uname().machine))
