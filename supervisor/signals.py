"""How a process ended, in numbers and in words: look-ups that take any number and never raise.

The kernel has 64 signals, Python's ``signal`` names fewer of them, and a cell may report any number.  An
exception while an ending is reported would be a second fault.
"""

from __future__ import annotations

import os
import signal


def name_of(number: int) -> str:
    """A signal's name, such as ``SIGKILL`` or ``SIGRTMIN+6``; ``signal 32`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        pass
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return f"signal {number}"  # glibc keeps two signals for itself, and some numbers are no signal


def how_ended(status: int) -> tuple[int, int] | None:
    """Signal and exit code of a wait status, one of them 0; None for a process that stopped or was continued.

    ``os.waitstatus_to_exitcode`` raises for those two, and for numbers that no kernel reports.
    """
    if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
        return None
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status), 0  # without the bit that says that there is a core file
    return 0, os.WEXITSTATUS(status)
