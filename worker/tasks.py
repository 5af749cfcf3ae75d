"""The calls of an async handler: tasks of one loop; imported, with asyncio, by an instance that has one."""

import asyncio
import json
from typing import Any, Dict

from function import _seam
from worker import capture, loader, wire
from worker.interrupts import Interrupts, number
from worker.loop import Instance, Usage
from worker.materials import REQUEST_FD


def serve(instance: Instance, entry: loader.Entry, interrupts: Interrupts, frames: Any) -> None:
    """Until the front hangs up; ``frames`` have been read already."""
    capture.attribute(number.get)
    asyncio.run(_serve(instance, entry, interrupts, frames))


async def _serve(instance: Instance, entry: loader.Entry, interrupts: Interrupts, frames: Any) -> None:
    """Each call a task of this loop until the front hangs up."""
    loop = asyncio.get_running_loop()
    interrupts.serve_async()
    ended = asyncio.Event()
    tasks: Dict[int, "asyncio.Task[None]"] = {}

    def take(received: Any) -> None:
        for frame in received:
            if frame.kind == wire.CALL:
                task = loop.create_task(_call(instance, entry, frame))
                tasks[frame.call] = task
                task.add_done_callback(lambda _, call=frame.call: tasks.pop(call, None))
            elif frame.kind == wire.VALUES:
                instance.set_values(json.loads(frame.body))
            elif frame.kind == wire.CANCEL and frame.call in tasks:
                interrupts.cancel(tasks[frame.call], frame)

    def readable() -> None:
        received = instance.channel.read()
        if received is None:
            loop.remove_reader(REQUEST_FD)
            ended.set()
        else:
            take(received)

    take(frames)
    loop.add_reader(REQUEST_FD, readable)
    await ended.wait()


async def _call(instance: Instance, entry: loader.Entry, frame: wire.Frame) -> None:
    event, invocation = instance.begin(frame)
    usage = Usage()
    # A task has a context of its own: nothing to reset.
    _seam.current.set(invocation)
    number.set(frame.call)
    try:
        result = await entry.call(event)
    except BaseException as error:  # also CancelledError and SystemExit: each call ends in one frame
        instance.raised(frame.call, error, usage)
    else:
        capture.flush()
        instance.answer(frame.call, result, usage)
