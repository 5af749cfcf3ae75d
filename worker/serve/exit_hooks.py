"""The end of a worker process: the author's hooks run as they do at the end of any Python program.

When an instance ends (idle, replaced, at its maximum age, with the server) the author's handler of SIGTERM
runs.  Then this process waits for threads that are no daemons.  Then the ``atexit`` functions run.  The
warden sets the time limit for all of it (``supervisor.warden.leases.desk``) and kills a cell that exceeds it.
"""

import atexit
import os
import signal
import sys
from typing import Any, NoReturn

from .. import wire
from ..answer import failure
from ..capture import output_capture

# Threads may never end.  The rest of the warden's limit is for the ``atexit`` functions.
THREADS_SECONDS = 1.0


class _ThreadsTimedOut(BaseException):
    """The function's threads did not end within THREADS_SECONDS."""


def terminate() -> None:
    """Run the handler of SIGTERM that the author has set, if any."""
    handler: Any = signal.getsignal(signal.SIGTERM)
    if not callable(handler):
        return
    try:
        if getattr(handler, "__module__", "") == "asyncio.unix_events":
            signal.raise_signal(signal.SIGTERM)  # the loop runs the handler in its next turn
        else:
            handler(signal.SIGTERM, sys._getframe())
    except SystemExit:
        pass  # the process is ending anyway
    except BaseException as error:
        failure.print_traceback(error)


def leave(code: int) -> NoReturn:
    """Wait for threads, run the ``atexit`` functions, and end with this exit code."""
    _wait_for_threads()
    try:
        atexit._run_exitfuncs()
    except BaseException as error:  # Python 3.9 raises the error of the last function
        if not isinstance(error, SystemExit):
            failure.print_traceback(error)
    output_capture.flush()
    os._exit(code)


def leave_out_of_memory() -> NoReturn:
    """End at once: our own code found no memory, so the exit code is all that can be reported."""
    os._exit(wire.EXIT_OUT_OF_MEMORY)


def _wait_for_threads() -> None:
    threading: Any = sys.modules.get("threading")
    if threading is None:
        return

    def time_out(*_: Any) -> None:
        raise _ThreadsTimedOut

    try:
        signal.signal(signal.SIGALRM, time_out)
        signal.setitimer(signal.ITIMER_REAL, THREADS_SECONDS)
        threading._shutdown()
    except _ThreadsTimedOut:
        pass
    except BaseException as error:
        failure.print_traceback(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
