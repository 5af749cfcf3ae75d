"""The orderly end of a process of the function: what Python itself does at its own.

A handler of SIGTERM runs where the instance ends (idle, replaced, at its age, at the server's end), then
threads that are no daemons are waited for, then what ``atexit`` was given runs.  All of it has the bound that
the warden sets (``supervisor.warden.leases.desk``): a cell that uses it up is killed.
"""

import atexit
import os
import signal
import sys
from typing import Any, NoReturn

from ..answer import failure
from ..capture import output_capture

# For threads: they may never end, and then the rest of the bound is for the exit functions.
THREADS_SECONDS = 1.0


class _Enough(BaseException):
    """Threads have had their time."""


def terminate() -> None:
    """What a handler of SIGTERM does, where the author has made one."""
    handler: Any = signal.getsignal(signal.SIGTERM)
    if not callable(handler):
        return
    try:
        if getattr(handler, "__module__", "") == "asyncio.unix_events":
            signal.raise_signal(signal.SIGTERM)  # to the loop, whose turn comes
        else:
            handler(signal.SIGTERM, sys._getframe())
    except SystemExit:
        pass  # it is ending
    except BaseException as error:
        failure.print_traceback(error)


def leave(code: int) -> NoReturn:
    """Run what is to run at the end, and end."""
    _wait_for_threads()
    try:
        atexit._run_exitfuncs()
    except BaseException as error:  # 3.9 raises the last one's error
        if not isinstance(error, SystemExit):
            failure.print_traceback(error)
    output_capture.flush()
    os._exit(code)


def _wait_for_threads() -> None:
    threading: Any = sys.modules.get("threading")
    if threading is None:
        return

    def enough(*_: Any) -> None:
        raise _Enough

    try:
        signal.signal(signal.SIGALRM, enough)
        signal.setitimer(signal.ITIMER_REAL, THREADS_SECONDS)
        threading._shutdown()
    except _Enough:
        pass
    except BaseException as error:
        failure.print_traceback(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
