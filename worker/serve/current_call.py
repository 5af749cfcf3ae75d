"""Which call the running code belongs to, in each thread, task and context.

The context variable ``_seam.current`` holds it.  A new thread gets it from the code that starts the thread
(``thread_owners``).  It gets nothing else of that code's context, as in plain Python.
"""

import _thread
import sys
from contextvars import Context, copy_context
from typing import Any, Callable, Optional

from function import _seam

from ..logwire import NOBODY

# The call that code belongs to; None for code of no call, such as the import.
Owner = Optional[_seam.Invocation]

# The owner of the code that runs now, and a way to set it.  Bound methods of the context variable itself: a
# function of ours around them would cost each call time.
owner: "Callable[[], Owner]" = _seam.current.get
enter: "Callable[[Owner], Any]" = _seam.current.set


def number() -> int:
    """The number of the call that the running code belongs to, 0 for none; tasks and threads included."""
    call = owner()
    return call.number if call is not None else 0


def context_of(call: Owner) -> Context:
    """A context for a new thread: empty, but for its owner."""
    context = Context()
    context.run(enter, call)
    return context


def number_to_log(interrupts: Any) -> Callable[[], int]:
    """A function that says which call number a log line of the running code has to carry.

    It says 0 where no number is needed: the front knows which call runs alone in the main thread.  A thread
    or a forked process may outlive its call, so its lines carry the number.  To be called in the main thread.
    """
    main_thread = _thread.get_ident()

    def number_of_running_code() -> int:
        call = owner()
        if call is None:  # a thread of the import, or one that C code has started, is of no call
            return 0 if _thread.get_ident() == main_thread else NOBODY
        return 0 if call.number == interrupts.running and _thread.get_ident() == main_thread else call.number

    return number_of_running_code


def context_reset() -> "Optional[Callable[[], None]]":
    """A function that gives a call a ``decimal`` context of its own; None where no call needs one.

    A decimal context that was made during the import is in every copy of the import's context, and code
    changes it in place: without the reset a call would see what another call has set.
    """
    decimal: Any = sys.modules.get("decimal")
    if decimal is None or all(variable.name != "decimal_context" for variable in copy_context()):
        return None
    at_import = decimal.getcontext().copy()
    return lambda: decimal.setcontext(at_import.copy())
