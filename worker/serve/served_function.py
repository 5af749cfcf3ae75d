"""The function that this worker serves: its settings, and its calls between CALL and the answer's frame.

How calls are scheduled is ``loop`` (sync handlers) and ``async_calls`` (async handlers).
"""

import json
import sys
import time
from typing import Any, Callable, Dict, Optional, Set

from function import _seam
from function.context import CallCancelled, CallTimeout
from function.request import Event

from .. import wire
from ..answer import failure, handler_source, response
from ..answer.mistake import clipped
from ..capture import output_capture
from ..imports import loader
from . import current_call
from .call_usage import CallUsage
from .channel import Channel
from .interrupts import Interrupts
from .limit_watch import LimitWatch

MODE_SERVE, MODE_CHECK = "serve", "check"
# Below the wire's own limit for this field (BROKE), which counts characters too.
MESSAGE_MAX_CHARS = 8000


class ServedFunction:
    """The settings from INIT, the entry point once it is imported, and the frames of its calls."""

    def __init__(self, channel: Channel, init: wire.Frame) -> None:
        self.channel = channel
        self.interrupts = Interrupts(channel)
        self.limit_watch = LimitWatch()
        # Whether this process serves a single call (``fresh``), and whether that call has ended.
        self.is_single = self.is_over = False
        # None until the handler is imported.
        self.entry: Optional[loader.EntryPoint] = None
        # The kinds of likely mistakes that the log of this instance has a warning about.
        self.warned_of: Set[str] = set()
        # Runs at the beginning of each call: see ``current_call.context_reset``.
        self.reset_context: Optional[Callable[[], None]] = None
        (_, self.mode, self.space, self.function_name, self.version, self.concurrency, self.response_max) = (
            init.head
        )
        settings = json.loads(init.body)
        self.text_content_type: str = settings["text_content_type"]
        if settings["env"] and self.mode == MODE_SERVE:
            from ..imports import environment

            environment.take(settings["env"])
        self.set_values(settings)

    @staticmethod
    def set_values(values: Dict[str, Any]) -> None:
        """Replace the space's secrets and variables; the next read of them sees the new ones."""
        _seam.CurrentValues.secrets = values["secrets"]
        _seam.CurrentValues.variables = values["variables"]

    def begin(self, frame: wire.Frame) -> Event:
        """Make the Event of a CALL frame; code that runs in this context belongs to that call from now on."""
        method, path, query, call_id, remaining_ms = frame.head
        deadline = time.monotonic() + remaining_ms / 1000
        current_call.enter(
            _seam.Invocation(call_id, self.function_name, self.space, self.version, deadline, frame.call)
        )
        if self.reset_context is not None:
            self.reset_context()
        return Event(method, frame.body, list(frame.headers), query, path)

    def answer(self, call: int, result: Any, usage: CallUsage) -> None:
        """Send the frame for what the handler returned: an answer, or the mistake in it."""
        interrupts = self.interrupts
        interrupts.cancelled.discard(call)  # the handler has returned all the same
        try:
            interrupts.is_in_tenant_code = True
            answer = response.answer_of(result, self.text_content_type, self.response_max)
            interrupts.is_in_tenant_code = False
            if answer.likely_mistake is not None:
                self._warn_once(*answer.likely_mistake)
            used = usage.fields()
            if interrupts.has_met_memory or usage.is_full(used[2]):
                met = wire.MET_MEMORY
            else:
                met = self.limit_watch.after_call(used[0])
            if met:
                interrupts.has_met_memory = False
                self.channel.send(wire.MET, call, (met,))
            if len(answer.body) > self.response_max:
                raise response.ContractError(
                    "the body has %d bytes, above max_response of %d; send less or raise it"
                    % (len(answer.body), self.response_max)
                )
            self.channel.send(wire.ANSWER, call, (answer.status, *used), answer.headers, answer.body)
            self._end_call()
        except response.ContractError as error:
            self._send_broke(call, str(error), usage)
        except wire.LocalProtocolError:
            # ``answer_of`` has checked all else: only the headers' total size can be too large here.
            self._send_broke(call, response.too_large(answer), usage)
        except BaseException as error:  # str(body), __iter__ or items() of a tenant's object raised
            self.raised(call, error, usage)
        finally:
            interrupts.is_in_tenant_code = False

    def _send_broke(self, call: int, message: str, usage: CallUsage) -> None:
        text = clipped(self._with_place(message), MESSAGE_MAX_CHARS)
        self.channel.send(wire.BROKE, call, (text, *usage.fields()))
        self._end_call()

    def _with_place(self, message: str) -> str:
        """The message, and the line where the handler returned the value that it is about."""
        place = handler_source.place_of_the_answer(self.entry.call) if self.entry is not None else ""
        return "%s (%s)" % (message, place) if place else message

    def _warn_once(self, kind: str, text: str) -> None:
        """Log a warning about a likely mistake, once an instance for each kind."""
        if kind in self.warned_of:
            return
        self.warned_of.add(kind)
        try:
            output_capture.entry(self._with_place(text), "warning")
        except Exception:  # noqa: S110 - the author's own stream raised; the answer matters more
            pass

    def raised(self, call: int, error: BaseException, usage: CallUsage) -> None:
        """Send the frame for an exception of the handler, and write its traceback to the log."""
        self.interrupts.is_in_tenant_code = False
        met = wire.OUT_OF_MEMORY if issubclass(type(error), MemoryError) else self._limit_met(error)
        if met:
            self.interrupts.has_met_memory = False
            self.channel.send(wire.MET, call, (met,))
        # A call that we cancelled has its stack in the log already.  If its own code cancelled a task and
        # awaited it, the exception is an error like any other.
        is_ours = call in self.interrupts.cancelled
        self.interrupts.cancelled.discard(call)
        if not (is_ours and issubclass(type(error), (CallTimeout, CallCancelled, _cancelled_error()))):
            failure.print_traceback(error, self.entry and self.entry.call)
        report = failure.report_of(error, self.entry and self.entry.call)
        self.channel.send(wire.RAISED, call, (*report, *usage.fields()))
        self._end_call()

    def _limit_met(self, error: BaseException) -> int:
        """The limit behind an exception: one of ``wire.MET_*``, or 0."""
        if self.interrupts.has_met_memory:
            return wire.MET_MEMORY
        try:
            return self.limit_watch.after_error(error)
        except BaseException:  # a property of the exception's class raised; the caller gets its answer
            return 0

    def _end_call(self) -> None:
        self.is_over = self.is_single


def _cancelled_error() -> Any:
    """``asyncio.CancelledError``; an empty tuple where asyncio was never imported, so nobody can raise it."""
    return getattr(sys.modules.get("asyncio"), "CancelledError", ())
