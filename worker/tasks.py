"""The calls of an async handler: tasks of one loop; imported, with asyncio, by an instance that has one."""

import asyncio
import json
from typing import Any, Dict, Set

from worker import capture, leaving, loader, wire
from worker.interrupts import MEMORY_MET, Interrupts
from worker.loop import Instance, Usage, out_of_memory
from worker.materials import REQUEST_FD
from worker.whose import naming

# A signal comes to the loop over a pipe of its own: it is read in one turn, and heard in the next.
TURNS_TO_A_HANDLER = 4


def serve(instance: Instance, entry: loader.Entry, interrupts: Interrupts, frames: Any) -> None:
    """Until the front hangs up; ``frames`` have been read already."""
    capture.attribute(naming(interrupts))
    asyncio.run(_serve(instance, entry, interrupts, frames))


async def _serve(instance: Instance, entry: loader.Entry, interrupts: Interrupts, frames: Any) -> None:
    """Each call a task of this loop until the front hangs up."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    tasks: Dict[int, "asyncio.Task[None]"] = {}
    # Those that are cancelled because the instance's memory is at its limit.
    starved: Set[int] = set()

    def starve() -> None:
        starved.update(tasks)
        for task in tasks.values():
            task.cancel()

    interrupts.serve_async(loop, starve)

    def over(call: int) -> None:
        tasks.pop(call, None)
        if instance.is_over:
            ended.set()

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
                ended.set()
            else:
                take(received)
        except MemoryError:
            # The loop would call this again at once, and again, with a traceback of ours each time.
            out_of_memory()

    take(frames)
    loop.add_reader(REQUEST_FD, readable)
    await ended.wait()
    if not instance.is_over:
        await _terminate()


async def _terminate() -> None:
    """What the handler of SIGTERM does, and the tasks that it begins."""
    before = asyncio.all_tasks()
    leaving.terminate()
    for _ in range(TURNS_TO_A_HANDLER):
        await asyncio.sleep(0)
    begun = asyncio.all_tasks() - before
    if begun:
        await asyncio.wait(begun, timeout=leaving.THREADS_SECONDS)


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
        capture.flush()
        instance.answer(frame.call, result, usage)
    finally:
        starved.discard(frame.call)
