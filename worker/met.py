"""Whether the instance has met a limit of its own: of descriptors, or of processes and threads.

What meets one of these meets it again at every call, for as long as the instance lives.  Looked at where it
costs nothing: after a call that raised, after one that took long, and now and then after the others.
"""

import _thread
import errno
import os
import resource
from typing import Any, Iterator, Optional

from worker import wire
from worker.materials import REPLY_FD

# A call that was shorter has opened no hundreds of files.
LONG_US = 500
# Of the others every eighth; each one, once half of the descriptors are taken.
EVERY = 8
CHAIN_MOST = 10


# How ``threading`` starts one, by its version.
STARTERS = ("_start_new_thread", "_start_joinable_thread")


class _Refused:
    """A thread could not be started, whoever caught that."""

    a_thread = False


def watch_threads(threading: Any) -> None:
    """Notice when one cannot be started: it goes on as it would have."""
    for name in STARTERS:
        start = getattr(threading, name, None)
        if start is not None:
            setattr(threading, name, _noticing(start))


def _noticing(start: Any) -> Any:
    def started(*arguments: Any, **keywords: Any) -> Any:
        try:
            return start(*arguments, **keywords)
        except RuntimeError:
            _Refused.a_thread = True
            raise

    return started


class Limits:
    """Of one instance."""

    def __init__(self) -> None:
        self.half = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._skip = EVERY

    def after_call(self, exec_us: int) -> int:
        """What a call has met that was answered: one of ``wire.MET_*``, or 0."""
        if _Refused.a_thread:
            _Refused.a_thread = False
            return wire.MET_PROCESSES
        self._skip -= 1
        if self._skip > 0 and exec_us < LONG_US:
            return 0
        return self.of_files()

    def of_files(self) -> int:
        """The kernel gives the lowest number that is free: one above half is a sign, none is the limit."""
        try:
            lowest = os.dup(REPLY_FD)
        except OSError as error:
            return wire.MET_OPEN_FILES if error.errno == errno.EMFILE else 0
        os.close(lowest)
        self._skip = 1 if lowest >= self.half else EVERY
        return 0

    def by(self, error: BaseException) -> int:
        """What a call has met that raised this."""
        if _Refused.a_thread:
            _Refused.a_thread = False
            return wire.MET_PROCESSES
        for each in _chain(error):
            number = getattr(each, "errno", None) if isinstance(each, OSError) else None
            if number == errno.EMFILE:
                return wire.MET_OPEN_FILES
            is_hint = number == errno.EAGAIN or (isinstance(each, RuntimeError) and "new thread" in str(each))
            if is_hint and not _can_start_one():
                return wire.MET_PROCESSES
        return self.of_files()


def _chain(error: BaseException) -> Iterator[BaseException]:
    each: Optional[BaseException] = error
    for _ in range(CHAIN_MOST):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__


def _can_start_one() -> bool:
    """EAGAIN is a full pipe's word too, and a RuntimeError anybody's: a thread that ends at once tells."""
    try:
        _thread.start_new_thread(int, ())
    except RuntimeError:
        return False
    return True
