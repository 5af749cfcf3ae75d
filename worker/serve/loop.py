"""The worker after its lock-down: reads INIT, imports the handler, serves calls until the front hangs up.

Sync handlers run in the main thread, one call at a time, on blocking reads.  Async handlers run as
tasks of one asyncio loop that lives as long as the instance (``worker.serve.async_calls``).

Nothing here defends the platform: this code shares its process with the tenant's.  The front checks
every frame that it sends, and the cell bounds everything that it does.
"""

import _thread
import os
import resource
import sys
import time
from typing import NoReturn

from .. import wire
from ..answer import failure
from ..answer.mistake import clipped
from ..capture import output_capture
from ..fresh import fork_server
from ..imports import loader, network_refusals
from ..sandbox import rlimits, warmup
from . import current_call, exit_hooks, sync_calls
from .call_usage import CallUsage
from .channel import Channel
from .served_function import MESSAGE_MAX_CHARS, MODE_CHECK, ServedFunction

# A thread's whole stack counts against the function's memory before it is used: at Python's default of 8 MiB
# a function could have few threads.
THREAD_STACK_BYTES = 1 << 20

# Exit code of the process of a call (``fresh``) that never got one because the front hung up.
HUNG_UP = 2


def run(forks_calls: bool, memory_bytes: int) -> NoReturn:
    """Serve from INIT to the end of this process, or of one that was forked from it for a call."""
    # threading.stack_size() is this function; a function without threads never imports threading.
    _thread.stack_size(THREAD_STACK_BYTES)
    in_files_kib, CallUsage.base_own_kib = rlimits.file_and_own_kib()
    CallUsage.base_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - in_files_kib
    CallUsage.limit_kib = memory_bytes >> 10
    channel = Channel()
    frames = []
    while not frames:
        received = channel.read()
        if received is None:
            os._exit(0)
        frames = received
    init, *rest = frames
    if init.kind != wire.INIT or init.head[0] != wire.WIRE_VERSION:
        os._exit(1)  # a bug of our front; the warden sees the exit code
    served = ServedFunction(channel, init)
    served.interrupts.install()
    if served.mode == MODE_CHECK:
        _check(channel)
    interrupts = served.interrupts
    entry = _load(served)
    served.entry = entry
    CallUsage.base_kib += rlimits.file_and_own_kib()[0]
    if forks_calls:
        served.is_single = fork_server.serve()
        if served.is_single:
            # Have this new process copy the pages that every call writes to, before its call comes.
            warmup.rehearse_a_call(lambda event: {"body": {}})
    served.reset_context = current_call.context_reset()
    try:
        if entry.is_async:
            from . import async_calls

            async_calls.serve(served, entry, interrupts, rest)
        else:
            sync_calls.serve(served, entry, interrupts, rest)
    except MemoryError:
        exit_hooks.leave_out_of_memory()
    except BaseException as error:  # from a signal handler or a thread of the author's, between two calls
        failure.print_traceback(error)
        output_capture.flush()
        os._exit(1)
    # With exit code 0 the template would take its call as served, and fork a process for the next one.
    exit_hooks.leave(HUNG_UP if served.is_single and not served.is_over else 0)


def _check(channel: Channel) -> NoReturn:
    """Send what compiling the bundle tells, and leave without having run any of it."""
    found = loader.check()
    message = clipped(found.message, MESSAGE_MAX_CHARS)
    channel.send(wire.CHECKED, 0, (int(found.ok), message, found.line, found.entry))
    os._exit(0)


def _load(served: ServedFunction) -> loader.EntryPoint:
    """Import the handler and send READY; or send FAILED and leave."""
    channel = served.channel
    started = time.perf_counter()
    network_refusals.start_logging()
    try:
        served.interrupts.is_in_tenant_code = True
        entry = loader.load()
        served.interrupts.is_in_tenant_code = False
        output_capture.flush()
        python = sys.version.split()[0]
        channel.send(
            wire.READY,
            0,
            (int(entry.is_async), int((time.perf_counter() - started) * 1e6), entry.name, python),
        )
        return entry
    except loader.EntryError as error:
        message = clipped(str(error), MESSAGE_MAX_CHARS)
        channel.send(wire.FAILED, 0, ("entry", "EntryError", message, 0, "", ""))
    except BaseException as error:  # SystemExit at import is a failure like any other
        served.interrupts.is_in_tenant_code = False
        failure.print_traceback(error)
        stage = wire.STAGE_MEMORY if issubclass(type(error), MemoryError) else "import"
        channel.send(wire.FAILED, 0, (stage, *failure.report_of(error)))
    output_capture.flush()
    os._exit(0)
