"""The worker's life after its lock-down: hear INIT, import, then answer calls until the front hangs up.

Sync handlers run in the main thread, one call at a time, on blocking reads.  Async handlers run as
tasks of one asyncio loop that lives as long as the instance does (``worker.serve.async_calls``).

Nothing here defends the platform: this code shares its process with the tenant's.  What it sends
is checked by the front; what it does is bounded by the cell.
"""

import _thread
import json
import os
import resource
import sys
import time
from contextvars import copy_context
from typing import Any, Callable, Dict, NoReturn, Optional, Set, Tuple

from function import _seam
from function.context import CallCancelled, CallTimeout
from function.request import Event

from .. import wire
from ..answer import failure, handler_source, response
from ..capture import output_capture
from ..fresh import fork_server
from ..imports import loader, network_refusals
from ..sandbox import rlimits, warmup
from . import current_call, exit_hooks
from .channel import Channel
from .interrupts import Interrupts
from .limit_watch import Limits

# Stacks count against the memory of a function before they are used: 8 MiB each would be few threads.
THREAD_STACK_BYTES = 1 << 20

# A call that was shorter has waited for no child: a fork alone takes longer.
CHILD_US = 500

# How the process of a call ends that never came, when the front hangs up.
HUNG_UP = 2

MODE_SERVE, MODE_CHECK = "serve", "check"


class Usage:
    """What one call uses, from its beginning."""

    __slots__ = ("began", "cpu")

    # Of the pages that the zygote shares with us all are counted as ours when we begin; and those of the
    # files that were imported are nobody's.
    base_kib = 0
    # What may be touched; and what was before there was a function.
    limit_kib, base_own_kib = 1 << 40, 0

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.cpu = time.process_time()

    def fields(self) -> Tuple[int, int, int]:
        """Microseconds, microseconds of processor, KiB that the instance has had at its peak."""
        exec_us = int((time.perf_counter() - self.began) * 1e6)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_us = int((used.ru_utime + used.ru_stime - self.cpu) * 1e6)
        peak_kib = used.ru_maxrss
        if exec_us >= CHILD_US:  # the warden knows their sum, but not at once
            peak_kib = max(peak_kib, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        return exec_us, max(0, cpu_us), max(0, peak_kib - self.base_kib)

    def is_full(self, peak_kib: int) -> bool:
        """Whether more is touched than may be: a call may be over before its instance was told so.

        The peak has files in it that were imported late, so it alone is no reason.
        """
        return peak_kib >= self.limit_kib and rlimits.own_kib() - self.base_own_kib >= self.limit_kib


class Instance:
    """What INIT said, and the entry point that it led to."""

    def __init__(self, channel: Channel, init: wire.Frame) -> None:
        self.channel = channel
        self.interrupts = Interrupts(channel)
        self.limits = Limits()
        self.is_single = self.is_over = False  # this process serves one call, and has done so
        self.entry: Optional[loader.Entry] = None  # once there is one
        self.doubted: Set[str] = set()
        self.renew: Optional[Callable[[], None]] = None
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
        _seam.Values.secrets = values["secrets"]
        _seam.Values.variables = values["variables"]

    def begin(self, frame: wire.Frame) -> Event:
        """The Event of a CALL frame; from now on what runs in this context is that call's."""
        method, path, query, call_id, remaining_ms = frame.head
        deadline = time.monotonic() + remaining_ms / 1000
        current_call.enter(
            _seam.Invocation(call_id, self.function_name, self.space, self.version, deadline, frame.call)
        )
        if self.renew is not None:
            self.renew()
        return Event(method, frame.body, list(frame.headers), query, path)

    def answer(self, call: int, result: Any, usage: Usage) -> None:
        """Send what the handler returned, or the mistake in it."""
        interrupts = self.interrupts
        interrupts.told.discard(call)  # it has ended in its own way
        try:
            interrupts.is_open = True
            answer = response.answer_of(result, self.text_content_type, self.response_max)
            interrupts.is_open = False
            if answer.doubt is not None:
                self._doubt(*answer.doubt)
            used = usage.fields()
            if interrupts.has_met or usage.is_full(used[2]):
                met = wire.MET_MEMORY
            else:
                met = self.limits.after_call(used[0])
            if met:
                interrupts.has_met = False
                self.channel.send(wire.MET, call, (met,))
            if len(answer.body) > self.response_max:
                raise response.ContractError(
                    "the body has %d bytes, above max_response of %d; send less or raise it"
                    % (len(answer.body), self.response_max)
                )
            self.channel.send(wire.ANSWER, call, (answer.status, *used), answer.headers, answer.body)
            self._ended()
        except response.ContractError as error:
            self._broke(call, str(error), usage)
        except wire.LocalProtocolError:
            # The only way there: headers that are too large together, which the contract cannot name alone.
            self._broke(call, response.too_large(answer), usage)
        except BaseException as error:  # str(body), __iter__ or items() of a tenant's object raised
            self.raised(call, error, usage)
        finally:
            interrupts.is_open = False

    def _broke(self, call: int, message: str, usage: Usage) -> None:
        self.channel.send(wire.BROKE, call, (_clean(self._placed(message)), *usage.fields()))
        self._ended()

    def _placed(self, message: str) -> str:
        """With the place where the handler returned what it is about."""
        place = handler_source.place_of_the_answer(self.entry.call) if self.entry is not None else ""
        return "%s (%s)" % (message, place) if place else message

    def _doubt(self, kind: str, text: str) -> None:
        """Say once what was probably meant."""
        if kind in self.doubted:
            return
        self.doubted.add(kind)
        try:
            output_capture.entry(self._placed(text), "warning")
        except Exception:  # noqa: S110 - a stream of the author's; the answer matters more
            pass

    def raised(self, call: int, error: BaseException, usage: Usage) -> None:
        """Send an exception of the handler; its traceback goes to the log."""
        self.interrupts.is_open = False
        met = wire.OUT_OF_MEMORY if issubclass(type(error), MemoryError) else self._met_by(error)
        if met:
            self.interrupts.has_met = False
            self.channel.send(wire.MET, call, (met,))
        # Where a call stood when we told it to end is in the log already; a task that its own code cancelled,
        # and awaits, is an error like any other.
        is_ours = call in self.interrupts.told
        self.interrupts.told.discard(call)
        if not (is_ours and issubclass(type(error), (CallTimeout, CallCancelled, _cancellation()))):
            failure.print_traceback(error, self.entry and self.entry.call)
        found = failure.failure_of(error, self.entry and self.entry.call)
        self.channel.send(wire.RAISED, call, (*found, *usage.fields()))
        self._ended()

    def _met_by(self, error: BaseException) -> int:
        if self.interrupts.has_met:
            return wire.MET_MEMORY
        try:
            return self.limits.by(error)
        except BaseException:  # a property of its class: the caller is told of the exception all the same
            return 0

    def _ended(self) -> None:
        """Where each call has a process of its own, this was its call."""
        self.is_over = self.is_single


def _cancellation() -> Any:
    """``asyncio.CancelledError``, which nobody can have raised where asyncio was never imported."""
    return getattr(sys.modules.get("asyncio"), "CancelledError", ())


def _clean(message: str) -> str:
    return message[:8000].encode("utf-8", "replace").decode()


def run(forks_calls: bool, memory_bytes: int) -> NoReturn:
    """From INIT to the end of the process, or of one forked from it where each call has its own."""
    # threading.stack_size() is this one; threading itself is imported by who has threads.
    _thread.stack_size(THREAD_STACK_BYTES)
    Usage.base_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rlimits.file_kib()
    Usage.limit_kib, Usage.base_own_kib = memory_bytes >> 10, rlimits.own_kib()
    channel = Channel()
    frames = []
    while not frames:
        received = channel.read()
        if received is None:
            os._exit(0)
        frames = received
    init, *rest = frames
    if init.kind != wire.INIT or init.head[0] != wire.WIRE_VERSION:
        os._exit(1)  # our own front sent it: a bug, and the exit code says so to the warden
    instance = Instance(channel, init)
    if instance.mode == MODE_CHECK:
        _check(channel)
    interrupts = instance.interrupts
    entry = _load(instance)
    instance.entry = entry
    Usage.base_kib += rlimits.file_kib()
    if forks_calls:
        instance.is_single = fork_server.serve()
        if instance.is_single:
            # This process is new: what every call writes to is its own ahead of its call.
            warmup.rehearse_a_call(lambda event: {"body": {}})
    instance.renew = current_call.renewing()
    try:
        if entry.is_async:
            from . import async_calls

            async_calls.serve(instance, entry, interrupts, rest)
        else:
            _serve_sync(instance, entry, interrupts, rest)
    except MemoryError:
        out_of_memory()
    except BaseException as error:  # by a signal's handler or a thread of the author's, between two calls
        failure.print_traceback(error)
        output_capture.flush()
        os._exit(1)
    # The template would fork another one for the next call, if it ended as after its own.
    exit_hooks.leave(HUNG_UP if instance.is_single and not instance.is_over else 0)


def out_of_memory() -> NoReturn:
    """Not the function's code but ours found none: nothing can be said any more, but how it ends."""
    os._exit(wire.EXIT_OUT_OF_MEMORY)


def _check(channel: Channel) -> NoReturn:
    """Say what a compile of the bundle says, and leave without having run any of it."""
    found = loader.check()
    channel.send(wire.CHECKED, 0, (int(found.ok), _clean(found.message), found.line, found.entry))
    os._exit(0)


def _load(instance: Instance) -> loader.Entry:
    """Import the handler and say READY, or FAILED and leave."""
    channel = instance.channel
    started = time.perf_counter()
    network_refusals.tell()
    try:
        instance.interrupts.is_open = True
        entry = loader.load()
        instance.interrupts.is_open = False
        output_capture.flush()
        python = sys.version.split()[0]
        channel.send(
            wire.READY,
            0,
            (int(entry.is_async), int((time.perf_counter() - started) * 1e6), entry.name, python),
        )
        return entry
    except loader.EntryError as error:
        channel.send(wire.FAILED, 0, ("entry", "EntryError", _clean(str(error)), 0, "", ""))
    except BaseException as error:  # SystemExit at import is a failure like any other
        instance.interrupts.is_open = False
        failure.print_traceback(error)
        stage = wire.STAGE_MEMORY if issubclass(type(error), MemoryError) else "import"
        channel.send(wire.FAILED, 0, (stage, *failure.failure_of(error)))
    output_capture.flush()
    os._exit(0)


def _serve_sync(instance: Instance, entry: loader.Entry, interrupts: Interrupts, frames: Any) -> None:
    """One call after the other until the front hangs up."""
    output_capture.attribute(current_call.naming(interrupts))
    received: Optional[Any] = frames
    while received is not None:
        for frame in received:
            if frame.kind == wire.CALL:
                # What one sets there no other sees.
                copy_context().run(_call, instance, entry, frame)
                if instance.is_over:
                    return
            elif frame.kind == wire.VALUES:
                instance.set_values(json.loads(frame.body))
            # CANCEL of a call that has just ended has nothing to act on.
        if interrupts.stash:
            received, interrupts.stash = interrupts.stash, []
        else:
            received = instance.channel.read()
    exit_hooks.terminate()


def _call(instance: Instance, entry: loader.Entry, frame: wire.Frame) -> None:
    """One call of a sync handler, from its frame to that of its answer."""
    interrupts = instance.interrupts
    event = instance.begin(frame)
    usage = Usage()
    try:
        interrupts.running = frame.call
        result = entry.call(event)
        if result.__class__ is not dict and hasattr(result, "__await__"):
            from . import async_calls

            # A decorator that is not async over a handler that is.
            result = async_calls.awaited(result, interrupts)
        interrupts.running = 0
    except BaseException as error:  # sys.exit() in a handler ends the call, not the instance
        interrupts.running = 0
        instance.raised(frame.call, error, usage)
    else:
        output_capture.flush()
        instance.answer(frame.call, result, usage)
