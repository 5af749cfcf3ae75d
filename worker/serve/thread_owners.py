"""Has threads and forked processes belong to the call that started them or gave them work.

A thread's function runs in a context that says the call (``current_call``).  ``Context.run`` is C code, so no
traceback shows a frame of ours.
"""

import _thread
import functools
import os
import sys
from typing import Any, Callable, Iterable, Iterator

from ..capture import output_capture
from ..imports.import_hooks import once_imported
from . import current_call

# The functions that run in the processes of a pool.  Such a process works for one call after another, and
# nobody can tell for which.
POOL_WORKERS = (("concurrent.futures.process", "_process_worker"), ("multiprocessing.pool", "worker"))


class OwnedFunction(functools.partial):  # type: ignore[type-arg]
    """A thread's function with its owner; its ``repr`` is that of the function which the author gave."""

    def __repr__(self) -> str:
        return repr(self.args[0])


def watch() -> None:
    """Wrap every way to start a thread or to fork, and every pool of threads in the standard library."""
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        start = getattr(_thread, name, None)
        if start is not None:
            setattr(_thread, name, _with_owner(start))
    os.fork = _fork_with_notice(os.fork)
    once_imported("concurrent.futures.thread", _watch_executors)
    once_imported("multiprocessing.pool", _watch_thread_pools)
    once_imported("multiprocessing.util", _watch_processes)


def watch_threading(threading: Any) -> None:
    """Replace the functions that ``threading`` took from ``_thread`` when it was imported."""
    for name in ("_start_new_thread", "_start_joinable_thread"):
        if hasattr(threading, name):
            setattr(threading, name, getattr(_thread, name[1:]))


def _with_owner(start: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(start)
    def started(*arguments: Any, **keywords: Any) -> Any:
        if arguments and callable(arguments[0]):
            function, *rest = arguments
            arguments = (OwnedFunction(current_call.context_of(current_call.owner()).run, function), *rest)
        return start(*arguments, **keywords)

    return started


# ---- executors ------------------------------------------------------------------------------


def _watch_executors(module: Any) -> None:
    class WorkItem(module._WorkItem):  # type: ignore[misc,name-defined]
        """A task of ``submit``: its thread may be older than its call, and serve other calls later."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._owner = current_call.owner()

        def run(self, *arguments: Any) -> None:
            current_call.enter(self._owner)
            super().run(*arguments)

    module._WorkItem = WorkItem


def _watch_thread_pools(module: Any) -> None:
    """Have the tasks of ``multiprocessing.pool.ThreadPool`` carry their owner through its two queues."""
    from queue import SimpleQueue

    class Task(tuple):  # type: ignore[type-arg]
        owner: current_call.Owner

    class Submitted(SimpleQueue):  # type: ignore[type-arg]
        def put(self, item: Any, *arguments: Any, **keywords: Any) -> None:
            if item is not None:
                tasks, set_length = item
                item = _owned_tasks(Task, tasks, current_call.owner()), set_length
            super().put(item, *arguments, **keywords)

    class Handed(SimpleQueue):  # type: ignore[type-arg]
        def get(self, *arguments: Any, **keywords: Any) -> Any:
            task = super().get(*arguments, **keywords)
            if isinstance(task, Task):
                current_call.enter(task.owner)
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


def _owned_tasks(kind: Any, tasks: Iterable[Any], owner: current_call.Owner) -> Iterator[Any]:
    """The tasks with their owner; runs in a thread of the pool, which reads the author's own iterable too."""
    current_call.enter(owner)
    for task in tasks:
        task = kind(task)
        task.owner = owner
        yield task


# ---- processes ------------------------------------------------------------------------------


def _fork_with_notice(fork: Callable[[], int]) -> Callable[[], int]:
    @functools.wraps(fork)
    def forked() -> int:
        pid = fork()
        if pid == 0:
            output_capture.after_fork()
        return pid

    return forked


def _watch_processes(util: Any) -> None:
    util.register_after_fork(sys.modules[__name__], _disown_pool_worker)


def _disown_pool_worker(_: Any) -> None:
    """In a new process of ``multiprocessing``: the worker of a pool belongs to no call."""
    from multiprocessing import process

    target = getattr(process.current_process(), "_target", None)
    if (getattr(target, "__module__", ""), getattr(target, "__name__", "")) in POOL_WORKERS:
        current_call.enter(None)
