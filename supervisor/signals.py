"""What a process ended by, in numbers and in words: look-ups that take any number and never raise.

The kernel has 64 signals, Python's ``signal`` names fewer of them, and a cell may report any number.
Whoever wants a name asks here: an exception in the middle of an account of an ending would be a second fault.
"""

from __future__ import annotations

import os
import signal


def name_of(number: int) -> str:
    """``SIGKILL``, ``SIGRTMIN+6``, or for what has no name ``signal 32``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        pass
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return f"signal {number}"  # glibc keeps two for itself, and some numbers are no signal


def how_ended(status: int) -> tuple[int, int] | None:
    """Signal and exit code of a wait status, one of them 0; None for a process that only stopped or goes on.

    ``os.waitstatus_to_exitcode`` raises for those, and for numbers that no kernel has reported yet.
    """
    if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
        return None
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status), 0  # whether there is a core file is another bit
    return 0, os.WEXITSTATUS(status)
