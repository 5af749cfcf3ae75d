"""Kills the processes of a cell one by one, where the kernel cannot kill a whole group at once.

When pid 1 is killed, the kernel kills the rest of its pid namespace too, but late: pid 1 first frees its own
memory, which takes 4 to 40 ms with pandas loaded.  Until then hostile code would go on running.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

# How many are killed here; any others end with pid 1.
KILLED_MOST = 128


def kill(first: int, pids: Sequence[int]) -> None:
    """Send SIGKILL to those of ``pids`` that are in the pid namespace of ``first``, which is not reaped yet.

    A pid may have been reused since it was listed.  So: open a pidfd, check the namespace, then signal the
    pidfd.  If the pid is reused between the two, the pidfd's process is dead and the signal has no effect.
    """
    try:
        namespace = os.readlink(f"/proc/{first}/ns/pid")
    except OSError:  # it is ending, or may not be inspected: then all end with it
        return
    for pid in pids[:KILLED_MOST]:
        if pid == first:
            continue
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # it has ended, or we are out of descriptors: then it ends with pid 1
            continue
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError:  # it has ended
            continue
        finally:
            os.close(pidfd)
