"""Whose the code that runs is: which call's, in each thread, task and context.

``_seam.current`` says it.  A thread gets that from the code that starts it, and nothing else of its context:
the rest is what Python itself gives a thread.
"""

import _thread
import sys
from contextvars import Context, copy_context
from typing import Any, Callable, Optional

from function import _seam

from ..logwire import NOBODY

Call = Optional[_seam.Invocation]

# What runs now is that call's; what a thread that is started now, or given something to do, is to enter.
carried: "Callable[[], Call]" = _seam.current.get
enter: "Callable[[Call], Any]" = _seam.current.set


def number() -> int:
    """Of the call that the code that runs now belongs to, its tasks and its threads included; 0 for none."""
    call = carried()
    return call.number if call is not None else 0


def bound(call: Call) -> Context:
    """A context for a new thread: empty as that of any, but for whose it is."""
    context = Context()
    context.run(enter, call)
    return context


def naming(interrupts: Any) -> Callable[[], int]:
    """Says which call the code that runs is to name; 0: none need be.  Made by the main thread.

    What a call that runs alone writes itself is its own.  Its threads may outlive it, and so may what it
    forks: there ``number`` says it.
    """
    thread = _thread.get_ident()

    def named() -> int:
        call = carried()
        if call is None:  # a thread of the import, or one that Python did not start, is never a call's
            return 0 if _thread.get_ident() == thread else NOBODY
        return 0 if call.number == interrupts.running and _thread.get_ident() == thread else call.number

    return named


def renewing() -> "Optional[Callable[[], None]]":
    """What each call does in its copy of the import's context, that no other sees what it sets; or None."""
    decimal: Any = sys.modules.get("decimal")
    if decimal is None or all(variable.name != "decimal_context" for variable in copy_context()):
        return None
    # One that was made at import lies in every copy, and is changed in place.
    at_import = decimal.getcontext().copy()
    return lambda: decimal.setcontext(at_import.copy())
