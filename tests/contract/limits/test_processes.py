"""``processes``: processes and threads together.  BlockingIOError and RuntimeError, in the function."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.limits.conftest import Limited
from tests.support.bystander import Bystander
from tests.support.envelope import assert_envelope

MOST = 6
FORKS = """
children = []
def fork_many():
    for _ in range(30):
        pid = os.fork()
        if pid == 0:
            threading.Event().wait()
        children.append(pid)
what = seen(fork_many)
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
found = [what, len(children)]
"""
THREADS = """
over, started = threading.Event(), []
def start_many():
    for _ in range(30):
        thread = threading.Thread(target=over.wait)
        thread.start()
        started.append(thread)
what = seen(start_many)
over.set()
for thread in started:
    thread.join()
found = [what, len(started)]
"""
BOTH = """
over = threading.Event()
threads = [threading.Thread(target=over.wait) for _ in range(2)]
for thread in threads:
    thread.start()
exec(%r)
over.set()
for thread in threads:
    thread.join()
"""
# Holds every place there is, then does something as any author would, who catches nothing.
FULL = """
over, children = threading.Event(), []
try:
    while True:
        children.append(os.fork())
        if children[-1] == 0:
            threading.Event().wait()
except BlockingIOError:
    pass
try:
    {}
finally:
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
"""


@pytest.fixture
def six(limited: Callable[..., Limited]) -> Limited:
    return limited("processes", processes=MOST)


@pytest.mark.needs_root
def test_one_process_too_many_is_a_blocking_io_error_and_the_next_call_may_start_as_many(
    six: Limited, bystander: Bystander
) -> None:
    for _ in range(2):
        what, made = six.run(FORKS)
        assert (what["type"], what["errno"], what["is_os_error"]) == ("BlockingIOError", "EAGAIN", True)
        assert made == MOST - 1, "the function itself is one of them"


@pytest.mark.needs_root
def test_one_thread_too_many_is_a_runtime_error_and_the_next_call_may_start_as_many(
    six: Limited, bystander: Bystander
) -> None:
    for _ in range(2):
        what, made = six.run(THREADS)
        assert (what["type"], what["text"]) == ("RuntimeError", "can't start new thread")
        assert made == MOST - 1


@pytest.mark.needs_root
def test_threads_and_processes_are_counted_together(six: Limited, bystander: Bystander) -> None:
    what, made = six.run(BOTH % FORKS)
    assert (what["type"], made) == ("BlockingIOError", MOST - 3)


@pytest.mark.parametrize(
    ("statement", "exception"),
    [
        ("os.fork()", "BlockingIOError"),
        ("subprocess.run(['/usr/bin/true'])", "BlockingIOError"),
        ("threading.Thread(target=print).start()", "RuntimeError"),
    ],
)
def test_what_a_function_does_not_catch_of_it_is_its_own_500_and_the_instance_ends(
    six: Limited, bystander: Bystander, statement: str, exception: str
) -> None:
    before = six.state()
    error = assert_envelope(six.send(FULL.format(statement)), 500, exception, is_invoked=True)
    assert error["details"]["exception_type"] == exception
    after = six.state()
    assert after["instance"] != before["instance"]


@pytest.mark.needs_root
def test_processes_that_a_call_left_behind_hold_the_places_of_their_own_instance_only(
    six: Limited, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    six.run("for _ in range(3):\n    os.fork() or threading.Event().wait()")
    assert six.run(FORKS)[1] == MOST - 1 - 3
    assert limited("processes-other", processes=MOST).run(FORKS)[1] == MOST - 1
    six.send("os._exit(0)")
    assert six.run(FORKS)[1] == MOST - 1, "they ended with their instance"
