"""``worker.serve.limit_watch`` notices the limits of an instance; ``raise_in`` raises where code stands."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.runtimes import on_every_runtime, run_in, runtime_or_skip
from worker import wire
from worker.sandbox.lockdown_state import REPLY_FD
from worker.serve import limit_watch
from worker.serve.interrupts import raise_in

DRIVER = Path(__file__).parent / "driver_raise_in.py"


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Lower the limit of open files, so that a test can take them all; REPLY_FD is open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    made = [os.open(os.devnull, os.O_RDONLY)]
    while made[-1] < REPLY_FD:
        made.append(os.dup(made[0]))
    most = max(map(int, os.listdir("/proc/self/fd"))) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for descriptor in made:
        os.close(descriptor)


@pytest.mark.usefixtures("few_descriptors")
def test_descriptors_that_are_all_taken_are_noticed_after_a_long_call_and_soon_after_short_ones() -> None:
    limits, kept = limit_watch.LimitWatch(), []
    try:
        assert limits.after_call(limit_watch.LONG_US) == 0
        while True:
            try:
                kept.append(os.dup(0))
            except OSError:
                break
        assert wire.MET_OPEN_FILES in [limits.after_call(1) for _ in range(limit_watch.EVERY)]
        assert limits.after_call(limit_watch.LONG_US) == wire.MET_OPEN_FILES
        assert limits.after_error(ValueError()) == wire.MET_OPEN_FILES
    finally:
        for descriptor in kept:
            os.close(descriptor)


@pytest.mark.usefixtures("few_descriptors")
def test_the_last_descriptor_is_none_for_who_needs_two() -> None:
    limits, kept = limit_watch.LimitWatch(), []
    try:
        while True:
            try:
                kept.append(os.dup(0))
            except OSError:
                break
        os.close(kept.pop())
        assert limits.after_call(limit_watch.LONG_US) == wire.MET_OPEN_FILES
        os.close(kept.pop())
        assert limits.after_call(limit_watch.LONG_US) == 0, "two are left"
    finally:
        for descriptor in kept:
            os.close(descriptor)


class Os(ModuleType):
    """A module ``os`` whose ``pipe`` a test defines."""

    pipe: Any


def refusing(number: int) -> Os:
    def refuse() -> None:
        raise OSError(number, "the test says so")

    module = Os("os")
    module.pipe = refuse
    limit_watch.watch(module)
    return module


@pytest.mark.usefixtures("few_descriptors")
def test_a_pipe_that_cannot_be_made_is_noticed_although_somebody_catches_that() -> None:
    limits, kept = limit_watch.LimitWatch(), []
    try:
        for refused, left, what in (
            (errno.EMFILE, limit_watch.PROCESS_DESCRIPTORS - 1, wire.MET_OPEN_FILES),
            (errno.EMFILE, limit_watch.PROCESS_DESCRIPTORS, 0),  # enough are free again
            (errno.ENFILE, limit_watch.PROCESS_DESCRIPTORS - 1, 0),  # the host has none left
        ):
            while True:
                try:
                    kept.append(os.dup(0))
                except OSError:
                    break
            for _ in range(left):
                os.close(kept.pop())
            with pytest.raises(OSError, match="the test says so"):
                refusing(refused).pipe()
            assert limits.after_call(1) == what
            assert limits.after_call(1) == 0, "once"
    finally:
        for descriptor in kept:
            os.close(descriptor)


@pytest.mark.parametrize("cause", ["__cause__", "__context__"])
def test_an_exception_whose_cause_was_the_limit_counts(cause: str) -> None:
    outer = ConnectionError("no more")
    setattr(outer, cause, OSError(errno.EMFILE, "too many"))
    assert limit_watch.LimitWatch().after_error(outer) == wire.MET_OPEN_FILES
    assert limit_watch.LimitWatch().after_error(OSError(errno.EAGAIN, "a full pipe")) == 0


def test_a_thread_that_cannot_be_started_is_noticed_although_somebody_catches_that() -> None:
    class Threading(ModuleType):
        """A module ``threading`` that can start no thread."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    module: Any = Threading("threading")
    module._start_new_thread = refuse
    limit_watch.watch(module)
    limits = limit_watch.LimitWatch()
    assert limits.after_call(1) == 0
    with pytest.raises(RuntimeError, match="new thread"):
        module._start_new_thread(print, ())
    assert limits.after_call(1) == wire.MET_PROCESSES
    assert limits.after_call(1) == 0, "once"


LOOPS = (
    "while True: kept.append(b'x' * 4096); kept.pop()",
    "while True: kept.append(1) or kept.pop()",
    "while True: pass",
    "for each in iter(int, 1): kept.append(each) or kept.pop()",
    "while True:\n            kept.append(b'x' * 4096)\n            kept.pop()",
)


@pytest.mark.slow
@on_every_runtime
def test_on_every_python_an_exception_from_outside_is_caught_where_the_code_stands(runtime_name: str) -> None:
    assert run_in(runtime_or_skip(runtime_name), DRIVER) == []


@pytest.mark.parametrize("loop", LOOPS)
def test_an_exception_from_outside_is_caught_where_the_code_stands(loop: str) -> None:
    """Between two rounds of a loop CPython looks for the exception's handler before the loop, not in it."""
    source = f"def run(kept):\n    try:\n        {loop}\n    except MemoryError:\n        return 'caught'\n"
    names: dict[str, Any] = {}
    exec(compile(source, "loop", "exec"), names)

    def tell(_: int, frame: Any) -> None:
        if frame.f_code.co_name == "run":
            raise_in(frame, MemoryError("now"))

    before = signal.signal(signal.SIGVTALRM, tell)
    try:
        for _ in range(20):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.004, 0.1)
            assert names["run"]([]) == "caught"
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            assert sys.gettrace() is None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
