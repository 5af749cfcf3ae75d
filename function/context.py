"""The call that is running: ``call_id``, ``function_name``, ``space``, ``version``, ``remaining_ms()``.

Outside a call, at import for example, an attribute raises ``RuntimeError``.

>>> from function import context, testing
>>> with testing.invocation(call_id="abc", timeout=2.0):
...     context.call_id, context.remaining_ms() <= 2000
('abc', True)
"""

import time
from typing import Any, List

from function import _seam

__all__ = [
    "CallCancelled", "CallTimeout", "call_id", "function_name", "remaining_ms", "space", "version",
]  # fmt: skip


class CallTimeout(TimeoutError):
    """Raised in a handler whose time is up; half a second later the platform ends its instance.

    An ``async def`` handler gets ``asyncio.CancelledError`` instead, like any cancelled coroutine.
    """


class CallCancelled(BaseException):
    """Raised in a handler whose caller has hung up; no Exception, so that nobody catches it by accident."""


# For type checkers and editors; the values come from __getattr__.
call_id: str
function_name: str
space: str
version: int


def _invocation() -> _seam.Invocation:
    invocation = _seam.current.get()
    if invocation is None:
        raise RuntimeError("function.context has a value only while a call is running")
    return invocation


def remaining_ms() -> int:
    """Milliseconds until this call's time limit; never below 0."""
    return max(0, int((_invocation().deadline - time.monotonic()) * 1000))


def __getattr__(name: str) -> Any:
    if name in ("call_id", "function_name", "space", "version"):
        return getattr(_invocation(), name)
    raise AttributeError("module 'function.context' has no attribute %r" % name)


def __dir__() -> List[str]:
    return sorted(__all__)
