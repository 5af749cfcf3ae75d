"""Threads and forked processes know whose they are: the call's that started them, or gave them work.

No frame of ours is between a thread's function and what raised in it, so no traceback shows one.
"""

import _thread
import functools
import os
import sys
from typing import Any, Callable, Iterable, Iterator

from ..capture import output_capture
from ..imports.import_hooks import once_imported
from . import current_call

# Processes of a pool work for one call after the other: whose their lines are nobody can tell.
POOLS_PROCESSES = (("concurrent.futures.process", "_process_worker"), ("multiprocessing.pool", "worker"))


class Started(functools.partial):  # type: ignore[type-arg]
    """A thread's function; shown as what the author started."""

    def __repr__(self) -> str:
        return repr(self.args[0])


def watch() -> None:
    """Every way to start a thread, and every pool of them that the standard library has."""
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        start = getattr(_thread, name, None)
        if start is not None:
            setattr(_thread, name, _carrying(start))
    os.fork = _telling(os.fork)
    once_imported("concurrent.futures.thread", _watch_executors)
    once_imported("multiprocessing.pool", _watch_thread_pools)
    once_imported("multiprocessing.util", _watch_processes)


def watch_threading(threading: Any) -> None:
    """It took the names from ``_thread`` when it was imported."""
    for name in ("_start_new_thread", "_start_joinable_thread"):
        if hasattr(threading, name):
            setattr(threading, name, getattr(_thread, name[1:]))


def _carrying(start: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(start)
    def started(*arguments: Any, **keywords: Any) -> Any:
        if arguments and callable(arguments[0]):
            function, *rest = arguments
            arguments = (Started(current_call.bound(current_call.carried()).run, function), *rest)
        return start(*arguments, **keywords)

    return started


# ---- executors ------------------------------------------------------------------------------


def _watch_executors(module: Any) -> None:
    class WorkItem(module._WorkItem):  # type: ignore[misc,name-defined]
        """One that ``submit`` makes: its thread may be older than its call, and serve others after it."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._call = current_call.carried()

        def run(self, *arguments: Any) -> None:
            current_call.enter(self._call)
            super().run(*arguments)

    module._WorkItem = WorkItem


def _watch_thread_pools(module: Any) -> None:
    """``multiprocessing.pool.ThreadPool``: tasks say whose they are on their way through its two queues."""
    from queue import SimpleQueue

    class Task(tuple):  # type: ignore[type-arg]
        call: current_call.Call

    class Submitted(SimpleQueue):  # type: ignore[type-arg]
        def put(self, item: Any, *arguments: Any, **keywords: Any) -> None:
            if item is not None:
                tasks, set_length = item
                item = _of_call(Task, tasks, current_call.carried()), set_length
            super().put(item, *arguments, **keywords)

    class Handed(SimpleQueue):  # type: ignore[type-arg]
        def get(self, *arguments: Any, **keywords: Any) -> Any:
            task = super().get(*arguments, **keywords)
            if isinstance(task, Task):
                current_call.enter(task.call)
            return task

    set_up = module.ThreadPool._setup_queues

    def _setup_queues(pool: Any) -> None:
        set_up(pool)
        pool._inqueue = Handed()
        pool._quick_put = pool._inqueue.put

    module.ThreadPool._setup_queues = _setup_queues
    module.ThreadPool._taskqueue = property(
        lambda pool: pool.__dict__["_taskqueue"],
        lambda pool, _: pool.__dict__.__setitem__("_taskqueue", Submitted()),
    )


def _of_call(kind: Any, tasks: Iterable[Any], call: current_call.Call) -> Iterator[Any]:
    """In a thread of the pool's own, which is also where an iterable of the author's is read."""
    current_call.enter(call)
    for task in tasks:
        task = kind(task)
        task.call = call
        yield task


# ---- processes ------------------------------------------------------------------------------


def _telling(fork: Callable[[], int]) -> Callable[[], int]:
    @functools.wraps(fork)
    def forked() -> int:
        pid = fork()
        if pid == 0:
            output_capture.forked()
        return pid

    return forked


def _watch_processes(util: Any) -> None:
    util.register_after_fork(sys.modules[__name__], _in_a_child)


def _in_a_child(_: Any) -> None:
    from multiprocessing import process

    target = getattr(process.current_process(), "_target", None)
    if (getattr(target, "__module__", ""), getattr(target, "__name__", "")) in POOLS_PROCESSES:
        current_call.enter(None)
