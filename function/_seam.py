"""Where the platform puts the values that this package shows; authors never import it.

A worker (or ``function.testing``) replaces each dictionary as a whole.  So a reader sees the old values or
the new ones, never a mixture.
"""

from contextvars import ContextVar
from typing import Any, ClassVar, Dict, NamedTuple, Optional


class Invocation(NamedTuple):
    """A running call, as ``function.context`` shows it."""

    call_id: str
    function_name: str
    space: str
    version: int
    # Seconds on time.monotonic(): setting the wall clock must not move a deadline.
    deadline: float
    # The call's number between the worker and its front; unique within the instance, and not shown.
    number: int = 0


class CurrentValues:
    """The space's secrets and variables as the platform last sent them; a process has one space."""

    secrets: ClassVar[Dict[str, str]] = {}
    variables: ClassVar[Dict[str, Any]] = {}


# A context variable, because the async calls of an instance run side by side.  The worker sets it in new
# threads.
current: "ContextVar[Optional[Invocation]]" = ContextVar("cellblock_invocation", default=None)
