"""Which span a call is, so that what it logs can be found by its trace.

A call's span is known from its begin to its end, and for some time after: lines that it wrote last, and the
platform's own entry about it, come later than its answer.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import NamedTuple

from supervisor.front.telemetry.otlp_encoding import Span, Trace

# More at once than a front can hold calls; beyond it they are no part of a trace.
RUNNING_MOST = 50_000
# Ended ones that are remembered: some seconds of a busy front.
ENDED_MOST = 10_000


class Key(NamedTuple):
    """Of a call.  Its id is the caller's to choose: what one space does with it is nothing to another."""

    space: str
    function: str
    call_id: str


class Spans:
    """Of one front; used from its loop alone."""

    def __init__(self) -> None:
        self._running: dict[Key, Span] = {}
        self._ended: OrderedDict[Key, Span] = OrderedDict()

    def begin(self, key: Key, trace: Trace | None) -> None:
        """A call begins; without ``trace`` it is the first of one."""
        if len(self._running) < RUNNING_MOST:
            self._running[key] = _span(trace)

    def of(self, key: Key) -> Span | None:
        """The call's span, if it is known."""
        return self._running.get(key) or self._ended.get(key)

    def end(self, key: Key) -> Span:
        """It has ended.  Of two at once that were given one id one is the first of a trace of its own."""
        span = self._running.pop(key, None) or _span(None)
        self._ended[key] = span
        if len(self._ended) > ENDED_MOST:
            self._ended.popitem(last=False)
        return span


def _span(trace: Trace | None) -> Span:
    return Span(trace or Trace(secrets.token_hex(16), ""), secrets.token_hex(8))
