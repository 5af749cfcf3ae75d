"""Put this process under a filter, for the fronts; a cell has its own way in ``worker/_syscalls.py``."""

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
    """The filter ``program`` on every thread of this process, for good; OSError.

    Needs ``no_new_privs`` (EACCES without it, unless the caller has CAP_SYS_ADMIN).

    Why: no Python wrapper.  Safe because: the buffers live until the call is over, the kernel checks the
    program before it counts, and a filter can only take away.
    """
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a short, six bytes of padding, a pointer.
    header = struct.pack("=HxxxxxxQ", len(program) // INSTRUCTION_BYTES, ctypes.addressof(code))
    number = ctypes.c_long(_NR_SECCOMP[os.uname().machine])
    result = _libc.syscall(number, ctypes.c_long(_SET_MODE_FILTER), ctypes.c_long(_FLAG_TSYNC), header)
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, f"seccomp: {os.strerror(failed)}")
    if result > 0:  # TSYNC answers the thread that could not be brought along
        raise OSError(0, f"seccomp: thread {result} could not be put under the filter")
