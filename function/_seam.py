"""The one place where the platform hands values to this package; authors never import it.

A worker (or ``function.testing``) replaces the dictionaries whole, so a reader sees either the old
values or the new ones and never a mixture.
"""

from contextvars import ContextVar
from typing import Any, ClassVar, Dict, NamedTuple, Optional


class Invocation(NamedTuple):
    """What ``function.context`` shows of the call that is running."""

    call_id: str
    function_name: str
    space: str
    version: int
    # Seconds on time.monotonic(): a wall clock that is set must not move a deadline.
    deadline: float
    # What the worker and its front know the call by; of one instance, and not shown.
    number: int = 0


class Values:
    """The space's secrets and variables as the platform last sent them."""

    secrets: ClassVar[Dict[str, str]] = {}
    variables: ClassVar[Dict[str, Any]] = {}


# A context variable, because async calls of one instance run side by side; the worker sees to its threads.
current: "ContextVar[Optional[Invocation]]" = ContextVar("cellblock_invocation", default=None)
