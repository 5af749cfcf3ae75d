"""The calls of an async handler: tasks of one loop; imported, with asyncio, by an instance that has one."""

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
from .current_call import naming
from .interrupts import MEMORY_MET, Interrupts
from .loop import Instance, Usage, out_of_memory

# A signal comes to the loop over a pipe of its own: it is read in one turn, and heard in the next.
TURNS_TO_A_HANDLER = 4


def serve(instance: Instance, entry: loader.Entry, interrupts: Interrupts, frames: Any) -> None:
    """Until the front hangs up; ``frames`` have been read already."""
    output_capture.attribute(naming(interrupts))
    loop = _loop()
    ended = _begin(instance, entry, interrupts, frames, loop)
    try:
        _run_until_done(loop, ended)
        if not instance.is_over:
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
            # exit() in a task that a call has made stops the loop, and so does stop(): as an ordinary
            # handler's it ends the call that awaits the task, and no other.
            if ended.done() or loop.is_closed():
                raise


def _loop() -> asyncio.AbstractEventLoop:
    """The one that the module's import has had for its current loop, or has made so; else a new one.

    What was made at import and belongs to it, as a lock does before Python 3.10, serves every call.
    """
    logger = asyncio.log.logger
    # Which selector a loop of ours has is nobody's news.
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there was none, which is no mistake here
            return _current_loop() or _new_loop()
    finally:
        logger.disabled = was_disabled


def _current_loop() -> "Optional[asyncio.AbstractEventLoop]":
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:  # asyncio.run() at import leaves none
        return None
    return None if loop.is_closed() else loop


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """As ``asyncio.run`` ends: what calls have left running is cancelled, and may say a last word."""
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
    """What a coroutine gives that an ordinary handler has returned: run here, on one loop for all calls."""
    loop = _loop()
    task = asyncio.ensure_future(result, loop=loop)
    interrupts.awaited = task
    try:
        return loop.run_until_complete(task)
    finally:
        interrupts.awaited = None
        if not task.done():  # its call was ended while the loop waited: so does it
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


def _begin(
    instance: Instance,
    entry: loader.Entry,
    interrupts: Interrupts,
    frames: Any,
    loop: asyncio.AbstractEventLoop,
) -> "asyncio.Future[None]":
    """Each call a task of this loop, and no task else; the future ends when the front hangs up."""
    ended: "asyncio.Future[None]" = loop.create_future()
    tasks: Dict[int, "asyncio.Task[None]"] = {}
    # Those that are cancelled because the instance's memory is at its limit.
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
        if instance.is_over:
            end()

    def take(received: Any) -> None:
        for frame in received:
            if frame.kind == wire.CALL:
                task = loop.create_task(_call(instance, entry, frame, starved))
                tasks[frame.call] = task
                task.add_done_callback(lambda _, call=frame.call: over(call))
            elif frame.kind == wire.VALUES:
                instance.set_values(json.loads(frame.body))
            elif frame.kind == wire.CANCEL and frame.call in tasks:
                interrupts.cancel(tasks[frame.call], frame)

    def readable() -> None:
        try:
            received = instance.channel.read()
            if received is None:
                loop.remove_reader(REQUEST_FD)
                end()
            else:
                take(received)
        except MemoryError:
            # The loop would call this again at once, and again, with a traceback of ours each time.
            out_of_memory()

    take(frames)
    loop.add_reader(REQUEST_FD, readable)
    return ended


async def _terminate() -> None:
    """What the handler of SIGTERM does, and the tasks that it begins."""
    before = asyncio.all_tasks()
    exit_hooks.terminate()
    for _ in range(TURNS_TO_A_HANDLER):
        await asyncio.sleep(0)
    begun = asyncio.all_tasks() - before
    if begun:
        await asyncio.wait(begun, timeout=exit_hooks.THREADS_SECONDS)


async def _call(instance: Instance, entry: loader.Entry, frame: wire.Frame, starved: Set[int]) -> None:
    usage = Usage()
    try:
        # A task has a context of its own.
        result = await entry.call(instance.begin(frame))
    except BaseException as error:  # also CancelledError and SystemExit: each call ends in one frame
        if frame.call in starved and isinstance(error, asyncio.CancelledError):
            error = MemoryError(MEMORY_MET)
        instance.raised(frame.call, error, usage)
    else:
        output_capture.flush()
        instance.answer(frame.call, result, usage)
    finally:
        starved.discard(frame.call)
