"""Whether an instance has met its limit of open files, or of processes and threads.

An instance that has met one of these limits meets it again at every later call, so the front replaces it.
The watch looks where that costs little: after a call that raised, after a long one, and after every eighth
of the others.
"""

import _thread
import errno
import functools
import os
import resource
import sys
from typing import Any, Iterator, Optional

from .. import wire
from ..sandbox.lockdown_state import REPLY_FD

# A shorter call has opened few files.
LONG_US = 50
# The watch looks after every eighth short call; after each call once half of the descriptors are taken.
EVERY = 8
# How many causes of an exception are looked at.
CAUSES_MOST = 10
# The descriptors that it takes to start a process with three pipes.
PROCESS_DESCRIPTORS = 8

# The functions by which Python starts threads and processes, by module; the names differ by version.  A
# process with pipes asks for the pipes first.  Code that gets two pipes of three closes them again, and
# afterwards no descriptor is short.
STARTERS = {
    "threading": ("_start_new_thread", "_start_joinable_thread"),
    "os": ("fork", "pipe"),
    "subprocess": ("_fork_exec",),
    "_posixsubprocess": ("fork_exec",),
}


class LastRefusal:
    """The limit that refused a thread, a process or a pipe, whoever caught that exception.

    State of this process: the functions that notice a refusal are the standard library's, in whatever thread.
    """

    # One of ``wire.MET_*``, or 0.
    met = 0

    @classmethod
    def take(cls) -> int:
        """The limit, once: the next question gets 0."""
        what, cls.met = cls.met, 0
        return what


def watch(module: Any) -> None:
    """Have the module's STARTERS note each refusal; the caller still gets the exception."""
    for name in STARTERS[module.__name__]:
        start = getattr(module, name, None)
        if start is not None:
            setattr(module, name, _noticing(start))


def _noticing(start: Any) -> Any:
    @functools.wraps(start)
    def started(*arguments: Any, **keywords: Any) -> Any:
        try:
            return start(*arguments, **keywords)
        except (RuntimeError, BlockingIOError):
            LastRefusal.met = wire.MET_PROCESSES
            raise
        except OSError as error:
            if error.errno == errno.EMFILE:
                LastRefusal.met = wire.MET_OPEN_FILES
            raise

    return started


class LimitWatch:
    """The watch over one instance."""

    def __init__(self) -> None:
        self.half_of_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._skip = EVERY
        # RLIMIT_NPROC is one above the function's own limit (``worker.sandbox.rlimits``), and one is the main
        # thread.
        most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        self.most_threads = most - 2 if most != resource.RLIM_INFINITY else sys.maxsize
        self._threads = self._more = 0

    def after_call(self, exec_us: int) -> int:
        """The limit that an answered call has met: one of ``wire.MET_*``, or 0."""
        if LastRefusal.met:
            return self._met_by_refusal(LastRefusal.take())
        if self.runs_out_of_threads(_thread._count()):
            return wire.MET_PROCESSES
        self._skip -= 1
        if self._skip > 0 and exec_us < LONG_US:
            return 0
        return self._met_by_files()

    def _met_by_refusal(self, what: int) -> int:
        """A refusal by the limit of open files does not count once enough descriptors are free again."""
        if what == wire.MET_OPEN_FILES and _are_free(PROCESS_DESCRIPTORS):
            return self._met_by_files()
        return what

    def runs_out_of_threads(self, threads: int) -> bool:
        """Whether calls leave threads behind, and there is no room for as many once more.

        For example, each call starts the loop of an MQTT client and never stops it.  A thread pool that one
        call has filled does not count: two calls in a row must have left more threads.
        """
        before, self._more = self._more, threads - self._threads
        self._threads = threads
        return threads + min(before, self._more) > self.most_threads

    def _met_by_files(self) -> int:
        """Look at the lowest free descriptor: the kernel always gives that one.

        A number above half of the limit has the watch look after each call from now on.  No free number is
        the limit, and so is a single one, for a pair of sockets needs two.
        """
        try:
            lowest = os.dup(REPLY_FD)
            try:
                if lowest >= self.half_of_files:
                    os.close(os.dup(REPLY_FD))
            finally:
                os.close(lowest)
        except OSError as error:
            return wire.MET_OPEN_FILES if error.errno == errno.EMFILE else 0
        self._skip = 1 if lowest >= self.half_of_files else EVERY
        return 0

    def after_error(self, error: BaseException) -> int:
        """The limit that a call has met which raised this exception: one of ``wire.MET_*``, or 0."""
        if LastRefusal.met:
            return self._met_by_refusal(LastRefusal.take())
        for each in _chain(error):
            number = getattr(each, "errno", None) if isinstance(each, OSError) else None
            if number == errno.EMFILE:
                return wire.MET_OPEN_FILES
        return self._met_by_files()


def _are_free(number: int) -> bool:
    made = []
    try:
        for _ in range(number):
            made.append(os.dup(REPLY_FD))
    except OSError:
        return False
    finally:
        for descriptor in made:
            os.close(descriptor)
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    each: Optional[BaseException] = error
    for _ in range(CAUSES_MOST):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__
