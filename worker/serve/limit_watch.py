"""Whether the instance has met a limit of its own: of descriptors, or of processes and threads.

What meets one of these meets it again at every call, for as long as the instance lives.  Looked at where it
costs nothing: after a call that raised, after one that took long, and now and then after the others.
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

# A call that was shorter has opened few files.
LONG_US = 50
# Of the others every eighth; each one, once half of the descriptors are taken.
EVERY = 8
CHAIN_MOST = 10
# What a process with three pipes needs to be started.
SEVERAL = 8


# Where Python starts threads and processes, by module; which names there are differs by version.  A pipe is
# what a process with pipes needs first: who gets two of three gives them back, and then none seems short.
STARTERS = {
    "threading": ("_start_new_thread", "_start_joinable_thread"),
    "os": ("fork", "pipe"),
    "subprocess": ("_fork_exec",),
    "_posixsubprocess": ("fork_exec",),
}


class _Refused:
    """What could not be started or made, whoever caught that: one of ``wire.MET_*``, or 0."""

    met = 0

    @classmethod
    def taken(cls) -> int:
        """Once."""
        what, cls.met = cls.met, 0
        return what


def watch(module: Any) -> None:
    """Notice when one cannot be had there: its caller gets the exception as it would have."""
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
            _Refused.met = wire.MET_PROCESSES
            raise
        except OSError as error:
            if error.errno == errno.EMFILE:
                _Refused.met = wire.MET_OPEN_FILES
            raise

    return started


class Limits:
    """Of one instance."""

    def __init__(self) -> None:
        self.half = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._skip = EVERY
        # Beside the main one, see ``worker.sandbox.rlimits``; what an unlimited process may have is no
        # number.
        most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        self.most_threads = most - 2 if most != resource.RLIM_INFINITY else sys.maxsize
        self._threads = self._more = 0

    def after_call(self, exec_us: int) -> int:
        """What a call has met that was answered: one of ``wire.MET_*``, or 0."""
        if _Refused.met:
            return self.of_refusal(_Refused.taken())
        if self.runs_out_of_threads(_thread._count()):
            return wire.MET_PROCESSES
        self._skip -= 1
        if self._skip > 0 and exec_us < LONG_US:
            return 0
        return self.of_files()

    def of_refusal(self, what: int) -> int:
        """Descriptors that were too few and have been closed again are no limit that lasts."""
        return self.of_files() if what == wire.MET_OPEN_FILES and _are_free(SEVERAL) else what

    def runs_out_of_threads(self, threads: int) -> bool:
        """Calls leave threads behind, and the next one would find no room for as many.

        Such a call makes an MQTT client whose loop nobody stops.  A pool that one call has filled is none:
        it takes two calls in a row that left more.
        """
        before, self._more = self._more, threads - self._threads
        self._threads = threads
        return threads + min(before, self._more) > self.most_threads

    def of_files(self) -> int:
        """The kernel gives the lowest number that is free: one above half is a sign, none is the limit.

        And so is the last one: a pair of sockets needs two.
        """
        try:
            lowest = os.dup(REPLY_FD)
            try:
                if lowest >= self.half:
                    os.close(os.dup(REPLY_FD))
            finally:
                os.close(lowest)
        except OSError as error:
            return wire.MET_OPEN_FILES if error.errno == errno.EMFILE else 0
        self._skip = 1 if lowest >= self.half else EVERY
        return 0

    def by(self, error: BaseException) -> int:
        """What a call has met that raised this."""
        if _Refused.met:
            return self.of_refusal(_Refused.taken())
        for each in _chain(error):
            number = getattr(each, "errno", None) if isinstance(each, OSError) else None
            if number == errno.EMFILE:
                return wire.MET_OPEN_FILES
        return self.of_files()


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
    for _ in range(CHAIN_MOST):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__
