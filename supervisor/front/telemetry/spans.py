"""The span of each call, so that its log records can be found by its trace.

A call's span is known while the call runs and for some time after, because its last lines and the platform's
own entry about it come later than its answer.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import NamedTuple

from supervisor.front.telemetry.otlp_encoding import Span, Trace

# More calls than a front can hold at once; further ones get no span until they end.
RUNNING_MOST = 50_000
# Calls that have ended and are remembered: some seconds of a busy front.
ENDED_MOST = 10_000


class CallKey(NamedTuple):
    """A call's key.  A caller chooses the id, so ids of different functions are kept apart."""

    space: str
    function: str
    call_id: str


class Spans:
    """One front's spans, used from its event loop only."""

    def __init__(self) -> None:
        self._running: dict[CallKey, Span] = {}
        self._ended: OrderedDict[CallKey, Span] = OrderedDict()

    def begin(self, key: CallKey, trace: Trace | None) -> None:
        """Note that a call begins, in the caller's trace or (None) in a new one."""
        if len(self._running) < RUNNING_MOST:
            self._running[key] = _span(trace)

    def of(self, key: CallKey) -> Span | None:
        """The call's span; None if it is not known."""
        return self._running.get(key) or self._ended.get(key)

    def end(self, key: CallKey) -> Span:
        """The span of a call that has ended; a new one for the second of two calls that share an id."""
        span = self._running.pop(key, None) or _span(None)
        self._ended[key] = span
        if len(self._ended) > ENDED_MOST:
            self._ended.popitem(last=False)
        return span


def _span(trace: Trace | None) -> Span:
    return Span(trace or Trace(secrets.token_hex(16), ""), secrets.token_hex(8))
