"""What all calls of a function with ``fresh`` have of the kernel's: five descriptors, made new between two.

A call's process has the same open files as the next one's: standard input, the log pipes and the channel.
What belongs to such a file and not to a process outlives the call: its flags (one that does not block loses
the end of a large answer), a pipe's size, locks.  Pid 1 has them too and runs no code of the function's.

An owner or a signal of a file, a lease and a watch cannot be set in a cell (the filter); locks by
``lockf`` end with their process.
"""

import fcntl
import os
import struct
import termios
from typing import List, Optional, Tuple

from ..sandbox.lockdown_state import Materials

# Python has the first two from 3.10 on.
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
# struct flock: the kind, from where (the start), offset, length (0: to the end), no process.
EVERYTHING = struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)


def open_nothing(materials: Materials) -> int:
    """Standard input, by pid 1: ends at once, and whoever locks it locks nobody else's.

    Where /dev/null is the host's an empty file of the cell's own, which no name has.
    """
    if materials.has_own_devices or not materials.has_namespaces:
        return os.open("/dev/null", os.O_RDONLY)
    path = "/dev/shm/.nothing"
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0)
    os.unlink(path)
    return descriptor


class Kept:
    """The descriptors, and what they were before there was any code of the function's."""

    def __init__(self, descriptors: List[int]) -> None:
        self.descriptors = descriptors
        self._were: List[Tuple[int, int, Optional[int]]] = [
            (descriptor, fcntl.fcntl(descriptor, fcntl.F_GETFL), _size(descriptor))
            for descriptor in descriptors
        ]

    def reset(self) -> bool:
        """As they were; False while a pipe holds more than its size was, which the front is about to read.

        OSError where the kernel refuses a size: too much is in the pipes of this user.
        """
        is_done = True
        for descriptor, flags, size in self._were:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, EVERYTHING)
            if size is not None and _size(descriptor) != size:
                if _bytes_in(descriptor) > 0:
                    is_done = False
                else:
                    fcntl.fcntl(descriptor, F_SETPIPE_SZ, size)
        return is_done

    def close(self) -> None:
        """Of this process's; else the front would never see the worker's end of a pipe close."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []
        self._were = []


def _size(descriptor: int) -> Optional[int]:
    try:
        return fcntl.fcntl(descriptor, F_GETPIPE_SZ)
    except OSError:  # no pipe
        return None


def _bytes_in(descriptor: int) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
    return count
