"""The calls of an async handler: each is a task of one asyncio loop.

Only an instance with an async handler imports this module, and asyncio with it.
"""

import asyncio
import asyncio.log
import json
import warnings
from typing import Any, Dict, Optional, Set

from .. import wire
from ..capture import output_capture
from ..imports import loader
from ..sandbox.lockdown_state import REQUEST_FD
from . import exit_hooks
from .call_usage import CallUsage
from .current_call import number_to_log
from .interrupts import MEMORY_MET, Interrupts
from .served_function import ServedFunction

# The loop learns of a signal over a pipe of its own: it reads the pipe in one turn and runs the handler in
# the next.  Only then do the tasks exist that the handler begins.
TURNS_TO_A_HANDLER = 4


def serve(served: ServedFunction, entry: loader.EntryPoint, interrupts: Interrupts, frames: Any) -> None:
    """Serve calls until the front hangs up, beginning with ``frames``, which were read already."""
    output_capture.attribute(number_to_log(interrupts))
    loop = _loop()
    ended = _begin(served, entry, interrupts, frames, loop)
    try:
        _run_until_done(loop, ended)
        if not served.is_over:
            loop.run_until_complete(_terminate())
    finally:
        try:
            _end_all(loop)
        finally:
            loop.close()


def _run_until_done(loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]") -> None:
    while not ended.done():
        try:
            loop.run_until_complete(ended)
        except (SystemExit, KeyboardInterrupt, RuntimeError):
            # exit() in a task that a call has begun stops the loop, and so does loop.stop().  As in a sync
            # handler it shall end no more than the call that awaits the task, so the loop goes on.
            if ended.done() or loop.is_closed():
                raise


def _loop() -> asyncio.AbstractEventLoop:
    """The loop that was current during the handler's import; a new one if there was none.

    Objects that the import has bound to its loop (before Python 3.10 a lock is one) then work in every call.
    """
    logger = asyncio.log.logger
    # asyncio logs which selector a new loop uses; the author has not asked for that line.
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "no current loop" is no mistake here
            return _current_loop() or _new_loop()
    finally:
        logger.disabled = was_disabled


def _current_loop() -> "Optional[asyncio.AbstractEventLoop]":
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:  # asyncio.run() during the import leaves none
        return None
    return None if loop.is_closed() else loop


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that calls have left running and let them finish, as ``asyncio.run`` does."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            found = {"message": "unhandled exception at the end", "exception": task.exception(), "task": task}
            loop.call_exception_handler(found)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())


def awaited(result: Any, interrupts: Interrupts) -> Any:
    """The result of a coroutine that a sync handler has returned; all calls use the same loop."""
    loop = _loop()
    task = asyncio.ensure_future(result, loop=loop)
    interrupts.awaited = task
    try:
        return loop.run_until_complete(task)
    finally:
        interrupts.awaited = None
        if not task.done():  # the call was ended while the loop waited, so its coroutine ends too
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


def _begin(
    served: ServedFunction,
    entry: loader.EntryPoint,
    interrupts: Interrupts,
    frames: Any,
    loop: asyncio.AbstractEventLoop,
) -> "asyncio.Future[None]":
    """Have the loop read frames and make a task of each call; the future ends when the front hangs up."""
    ended: "asyncio.Future[None]" = loop.create_future()
    tasks: Dict[int, "asyncio.Task[None]"] = {}
    # The calls that are cancelled because the instance's memory is at its limit.
    starved: Set[int] = set()

    def starve() -> None:
        starved.update(tasks)
        for task in tasks.values():
            task.cancel()

    interrupts.serve_async(loop, starve)

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def over(call: int) -> None:
        tasks.pop(call, None)
        if served.is_over:
            end()

    def take(received: Any) -> None:
        for frame in received:
            if frame.kind == wire.CALL:
                task = loop.create_task(_call(served, entry, frame, starved))
                tasks[frame.call] = task
                task.add_done_callback(lambda _, call=frame.call: over(call))
            elif frame.kind == wire.VALUES:
                served.set_values(json.loads(frame.body))
            elif frame.kind == wire.CANCEL and frame.call in tasks:
                interrupts.cancel(tasks[frame.call], frame)

    def readable() -> None:
        try:
            received = served.channel.read()
            if received is None:
                loop.remove_reader(REQUEST_FD)
                end()
            else:
                take(received)
        except MemoryError:
            # Else the loop would call this function again and again, and log our own traceback each time.
            exit_hooks.leave_out_of_memory()

    take(frames)
    loop.add_reader(REQUEST_FD, readable)
    return ended


async def _terminate() -> None:
    """Run the author's handler of SIGTERM, and wait for the tasks that it begins."""
    before = asyncio.all_tasks()
    exit_hooks.terminate()
    for _ in range(TURNS_TO_A_HANDLER):
        await asyncio.sleep(0)
    begun = asyncio.all_tasks() - before
    if begun:
        await asyncio.wait(begun, timeout=exit_hooks.THREADS_SECONDS)


async def _call(
    served: ServedFunction, entry: loader.EntryPoint, frame: wire.Frame, starved: Set[int]
) -> None:
    usage = CallUsage()
    try:
        # A task has a context of its own, so ``begin`` changes no other call's.
        result = await entry.call(served.begin(frame))
    except BaseException as error:  # CancelledError and SystemExit too: each call ends in one frame
        if frame.call in starved and isinstance(error, asyncio.CancelledError):
            error = MemoryError(MEMORY_MET)
        served.raised(frame.call, error, usage)
    else:
        output_capture.flush()
        served.answer(frame.call, result, usage)
    finally:
        starved.discard(frame.call)
