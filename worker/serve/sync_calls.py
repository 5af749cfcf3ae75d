"""The calls of a sync handler: one after the other, in the main thread."""

import json
from contextvars import copy_context
from typing import Any, Optional

from .. import wire
from ..capture import output_capture
from ..imports import loader
from . import current_call, exit_hooks
from .call_usage import CallUsage
from .interrupts import Interrupts
from .served_function import ServedFunction


def serve(served: ServedFunction, entry: loader.EntryPoint, interrupts: Interrupts, frames: Any) -> None:
    """Serve one call after the other until the front hangs up."""
    output_capture.attribute(current_call.number_to_log(interrupts))
    received: Optional[Any] = frames
    while received is not None:
        for frame in received:
            if frame.kind == wire.CALL:
                # A copied context, so that no other call sees the context variables that this one sets.
                copy_context().run(serve_call, served, entry, frame)
                if served.is_over:
                    return
            elif frame.kind == wire.VALUES:
                served.set_values(json.loads(frame.body))
            # CANCEL here is of a call that has just ended: there is nothing left to cancel.
        if interrupts.stash:
            received, interrupts.stash = interrupts.stash, []
        else:
            received = served.channel.read()
    exit_hooks.terminate()


def serve_call(served: ServedFunction, entry: loader.EntryPoint, frame: wire.Frame) -> None:
    """Serve one call of a sync handler, from its frame to the frame of its answer."""
    interrupts = served.interrupts
    event = served.begin(frame)
    usage = CallUsage()
    try:
        interrupts.running = frame.call
        result = entry.call(event)
        if result.__class__ is not dict and hasattr(result, "__await__"):
            from . import async_calls

            # An async handler below a decorator that is not async.
            result = async_calls.awaited(result, interrupts)
        interrupts.running = 0
    except BaseException as error:  # sys.exit() in a handler ends the call, not the instance
        interrupts.running = 0
        served.raised(frame.call, error, usage)
    else:
        output_capture.flush()
        served.answer(frame.call, result, usage)
