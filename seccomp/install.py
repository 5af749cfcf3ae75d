"""Puts a front under a seccomp filter; a cell, which has no such package, does it in ``worker._syscalls``."""

from __future__ import annotations

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

_NR_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1
INSTRUCTION_BYTES = 8


def install(program: bytes) -> None:
    """Put every thread of this process under the filter ``program``, for good.

    Raises OSError; EACCES without ``no_new_privs``, unless the caller has CAP_SYS_ADMIN.

    Why: no Python wrapper.  Safe because: the buffers outlive the call, the kernel checks the program first,
    and a filter can only take rights away.
    """
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a short, six bytes of padding, a pointer.
    header = struct.pack("=HxxxxxxQ", len(program) // INSTRUCTION_BYTES, ctypes.addressof(code))
    number = ctypes.c_long(_NR_SECCOMP[os.uname().machine])
    result = _libc.syscall(number, ctypes.c_long(_SET_MODE_FILTER), ctypes.c_long(_FLAG_TSYNC), header)
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, f"seccomp: {os.strerror(failed)}")
    if result > 0:  # with TSYNC: the id of a thread that could not get the filter
        raise OSError(0, f"seccomp: thread {result} could not be put under the filter")
