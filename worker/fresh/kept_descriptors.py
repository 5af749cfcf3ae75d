"""Resets the five open files that all calls of a ``fresh`` function share, between two calls.

The files are standard input, the two log pipes and the two pipes of the channel.  What belongs to an open
file, and not to a process, outlives the call: its flags (a pipe that does not block loses the end of a large
answer), a pipe's size, locks.  Pid 1 has the files open too, runs no code of the function, and resets them.

The seccomp filter of a cell refuses a file's owner and signal, leases and watches.  Locks by ``lockf`` end
with their process.
"""

import fcntl
import os
import struct
import termios
from typing import List, Optional, Tuple

from ..sandbox.lockdown_state import Materials

# ``fcntl`` has names for these from Python 3.10 on.
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
# struct flock that unlocks a whole file: kind, whence (the start), offset, length (0: to the end), no pid.
UNLOCK_ALL = struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)


def open_nothing(materials: Materials) -> int:
    """Open an empty standard input whose locks no other cell can see; runs in pid 1.

    Where /dev/null is the host's, that is an empty file of the cell's own, without a name.
    """
    if materials.has_own_devices or not materials.has_namespaces:
        return os.open("/dev/null", os.O_RDONLY)
    path = "/dev/shm/.nothing"
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0)
    os.unlink(path)
    return descriptor


class KeptDescriptors:
    """The shared descriptors, and their state before any code of the function ran."""

    def __init__(self, descriptors: List[int]) -> None:
        self.descriptors = descriptors
        self._were: List[Tuple[int, int, Optional[int]]] = [
            (descriptor, fcntl.fcntl(descriptor, fcntl.F_GETFL), _size(descriptor))
            for descriptor in descriptors
        ]

    def reset(self) -> bool:
        """Restore that state; False while a resized pipe still holds bytes, which the front is about to read.

        OSError if the kernel refuses a size because the pipes of this user hold too much.
        """
        is_done = True
        for descriptor, flags, size in self._were:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, UNLOCK_ALL)
            if size is not None and _size(descriptor) != size:
                if _bytes_in(descriptor) > 0:
                    is_done = False
                else:
                    fcntl.fcntl(descriptor, F_SETPIPE_SZ, size)
        return is_done

    def close(self) -> None:
        """Close them in this process; else the front would never see the worker's end of a pipe close."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []
        self._were = []


def _size(descriptor: int) -> Optional[int]:
    try:
        return fcntl.fcntl(descriptor, F_GETPIPE_SZ)
    except OSError:  # not a pipe
        return None


def _bytes_in(descriptor: int) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
    return count
