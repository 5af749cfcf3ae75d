"""Ends the processes of a cell by their own names, where the kernel cannot end a whole group at once.

Pid 1's death ends them all, but late: pid 1 first gives up its memory (with pandas in it 4 to 40 ms), and
only then are the others killed.  Until then what is hostile runs on, and their memory waits its turn.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

# A function may have a few hundred processes; those beyond end with pid 1.
AT_ONCE = 128


def kill(first: int, pids: Sequence[int]) -> None:
    """SIGKILL to those of ``pids`` that are in the pid namespace of ``first``, which is not reaped yet.

    A number may be another process's by now.  So: take hold of it, then see where it is, then signal what
    is held; whoever has the number when we look, what we hold is dead or is the one we looked at.
    """
    try:
        namespace = os.readlink(f"/proc/{first}/ns/pid")
    except OSError:  # it is ending, or may not be looked at: then all end with it
        return
    for pid in pids[:AT_ONCE]:
        if pid == first:
            continue
        try:
            held = os.pidfd_open(pid)
        except OSError:  # gone; or no descriptor is left, and it ends with pid 1
            continue
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                signal.pidfd_send_signal(held, signal.SIGKILL)
        except OSError:  # gone
            continue
        finally:
            os.close(held)
