"""``fresh``: nothing of a call is there in the next.  Every state is left in the same way by a function
without it, which finds it again: else a test that finds nothing would say nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.patience import FACTOR
from tests.support.server import SPACE, Server

# Runs the code of its body in the module's own names; what that leaves in ``found`` is the answer.
SOURCE = """
import fcntl, json, logging, os, random, resource, signal, socket, struct, sys, tempfile, threading, time
import function.context, function.secrets

heard = 0
def hear(*_):
    global heard
    heard += 1
signal.signal(signal.SIGUSR2, hear)

def handle(req):
    exec(req.body, globals())
    return {"body": json.dumps(globals().get("found"))}
"""
ASYNC = SOURCE.replace("def handle(req):", "import asyncio\nasync def handle(req):")
LEAST_PRIORITY = 19
# An import that a fork would share.
WITH_A_FILE = SOURCE + "\nkept = open('/function/handler.py')\n"

# What is left, and how the next call would see it; ``left`` is what the first one found.
STATES = {
    "a global": ("mark = 1", "found = 'mark' in globals()"),
    "an attribute of a module": ("json.mark = 1", "found = hasattr(json, 'mark')"),
    "an imported module": ("import wave", "found = 'wave' in sys.modules"),
    "a variable of the environment": ("os.environ['MARK'] = '1'", "found = 'MARK' in os.environ"),
    "the working folder": ("os.chdir('/tmp')", "found = os.getcwd() == '/tmp'"),
    "the umask": ("os.umask(0o123)", "found = os.umask(0) == 0o123"),
    "a file in /tmp": ("open('/tmp/mark', 'w').close()", "found = os.listdir('/tmp')"),
    "a tree in /tmp": (
        "os.makedirs('/tmp/a/b/c'); os.symlink('/function', '/tmp/a/link')", "found = os.listdir('/tmp')",
    ),
    "a folder that nobody may enter": (
        "os.makedirs('/tmp/a/b'); os.chmod('/tmp/a', 0)", "found = os.listdir('/tmp')",
    ),
    "the time of /tmp": (
        "open('/tmp/mark', 'w').close(); os.unlink('/tmp/mark'); found = os.stat('/tmp').st_mtime_ns",
        "found = os.stat('/tmp').st_mtime_ns == left",
    ),
    "shared memory": (
        "open('/dev/shm/mark', 'w').close()",
        "found = os.listdir('/dev/shm')",
    ),
    "when /tmp was listed": (
        "open('/tmp/mark', 'w').close(); os.unlink('/tmp/mark')\n"
        "os.listdir('/tmp'); found = os.stat('/tmp').st_atime_ns",
        "found = os.stat('/tmp').st_atime_ns == left",
    ),
    # Though nobody wrote there since: what is the same twice says so.
    "when /dev/shm was changed": (
        "found = os.stat('/dev/shm').st_ctime_ns", "found = os.stat('/dev/shm').st_ctime_ns == left",
    ),
    "an open file": (
        "kept = open('/tmp/open', 'w+'); found = kept.fileno()",
        "found = os.path.exists('/proc/self/fd/%d' % left)",
    ),
    "a file that has no name": (
        "kept = tempfile.TemporaryFile(); found = kept.fileno()",
        "found = os.path.exists('/proc/self/fd/%d' % left)",
    ),
    "an abstract socket": (
        "kept = socket.socket(socket.AF_UNIX); kept.bind('\\0mark'); kept.listen()\n"
        "if os.fork() == 0:\n    while True: time.sleep(9)",
        "found = socket.socket(socket.AF_UNIX).connect_ex('\\0mark') == 0",
    ),
    "a thread": (
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "found = threading.active_count() > 1",
    ),
    "a process": (
        "found = os.fork()\nif not found:\n    while True: time.sleep(9)",
        "found = True\ntry: os.kill(left, 0)\nexcept ProcessLookupError: found = False",
    ),
    "a daemon that hears no signal": (
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "        if number not in (32, 33): signal.signal(number, signal.SIG_IGN)\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.write(w, b'%d' % os.getpid())\n"
        "    while True: time.sleep(9)\n"
        "found = int(os.read(r, 10))",
        "found = True\ntry: os.kill(left, 0)\nexcept ProcessLookupError: found = False",
    ),
    "the state of random": ("random.seed(1)", "found = random.random() == random.Random(1).random()"),
    "the state of numpy's random": (
        "import numpy.random; numpy.random.seed(1)",
        "import numpy.random\n"
        "found = numpy.random.random() == numpy.random.RandomState(1).random_sample()",
    ),
    "a signal's handler": (
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "found = signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN",
    ),
    "a blocked signal": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
        "found = signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, [])",
    ),
    "a timer": (
        "signal.setitimer(signal.ITIMER_REAL, 600)", "found = signal.getitimer(signal.ITIMER_REAL)[0]",
    ),
    "a limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))",
        "found = resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 99",
    ),
    # Whoever runs this may have one that is as low as it can be.
    **({} if os.nice(0) == LEAST_PRIORITY else {
        "a priority": ("found = os.nice(0); os.nice(1)", "found = os.nice(0) > left"),
    }),
    "the processors": (
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "found = len(os.sched_getaffinity(0)) == 1",
    ),
    "a log level": ("logging.getLogger().setLevel(7)", "found = logging.getLogger().level == 7"),
    "a signal to the parent": (
        "os.kill(os.getppid() if os.getppid() > 1 else os.getpid(), signal.SIGUSR2)",
        "found = heard",
    ),
    **{
        f"a descriptor that does not block: {number}": (
            f"os.set_blocking({number}, False)", f"found = not os.get_blocking({number})",
        )
        for number in (0, 1, 2, 4)  # a worker that reads its calls without waiting ends
    },
    **{
        f"the flag {name} of descriptor {number}": (
            f"fcntl.fcntl({number}, fcntl.F_SETFL, fcntl.fcntl({number}, fcntl.F_GETFL) | os.{name})",
            f"found = bool(fcntl.fcntl({number}, fcntl.F_GETFL) & os.{name})",
        )
        for number, name in ((0, "O_APPEND"), (1, "O_APPEND"), (2, "O_ASYNC"), (4, "O_DIRECT"))
    },
    **{
        f"the size of pipe {number}: {size}": (
            f"fcntl.fcntl({number}, 1031, {size})", f"found = fcntl.fcntl({number}, 1032) == {size}",
        )
        for number, size in ((1, 4096), (2, 8192), (3, 4096), (4, 4096))
    },
    "a lock on standard input": (
        "fcntl.flock(0, fcntl.LOCK_EX)",
        "try:\n    fcntl.flock(os.open('/dev/null', 0), fcntl.LOCK_EX | fcntl.LOCK_NB); found = False\n"
        "except BlockingIOError: found = True",
    ),
    **{
        f"a lock of the open file {number}": (
            f"fcntl.fcntl({number}, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', {kind}, 0, 5, 1, 0))",
            f"asked = fcntl.fcntl({number}, fcntl.F_GETLK, struct.pack('hhqqi4x', 1, 0, 0, 0, 0))\n"
            "found = struct.unpack('hhqqi4x', asked)[0] != fcntl.F_UNLCK",
        )
        # To read what can be read, to write what can be written.
        for number, kind in ((0, 0), (1, 1), (3, 0), (4, 1))
    },
}  # fmt: skip

# What lies in the way of a large answer, and how a call puts it there.
IN_THE_WAY = {
    "not-blocking": "os.set_blocking(4, False)",
    "a small pipe": "fcntl.fcntl(4, fcntl.F_SETPIPE_SZ if hasattr(fcntl, 'F_SETPIPE_SZ') else 1031, 4096)",
    "packets": "fcntl.fcntl(4, fcntl.F_SETFL, fcntl.fcntl(4, fcntl.F_GETFL) | os.O_DIRECT)",
    "all of it, and a lock": (
        "os.set_blocking(4, False); fcntl.fcntl(4, 1031, 4096); fcntl.flock(0, fcntl.LOCK_EX)\n"
        "fcntl.flock(4, fcntl.LOCK_EX); os.set_blocking(1, False); os.set_blocking(3, False)"
    ),
}

# Takes the next call out of the pipe, from a process that outlives its own.
THIEF = """
if os.fork() == 0:
    os.setsid()
    while os.read(3, 1 << 16):
        pass
"""
# Waits for the next call to run, the second of its instance, then answers it.
FORGER = """
from _cellblock import wire
if os.fork() == 0:
    os.setsid()
    while not os.path.exists("/tmp/runs"):
        time.sleep(0.005)
    body = b'"forged"'
    os.write(4, wire.encode(wire.ANSWER, 2, (200, 1, 1, 1), (), len(body)) + body)
    open("/tmp/forged", "w").close()
    os._exit(0)
"""
# That call: it answers when it has been answered for, or after a while.
FORGED = """
open("/tmp/runs", "w").close()
until = time.monotonic() + {seconds}
while not os.path.exists("/tmp/forged") and time.monotonic() < until:
    time.sleep(0.005)
found = 'own'
"""
# Where nobody forges the call waits in vain; where somebody does a busy machine may take long.
IN_VAIN_SECONDS, FORGED_SECONDS = 0.6, 30.0


# Of a call that is to meet it; the handler has begun by then on a busy machine too.
SHORT_LIMIT = {"X-Timeout": "1"}


class Function:
    """One of them, with one instance at most: each call meets what the last one left.

    All calls are of one client, whose connection is kept: else the other front might have the next one.
    """

    def __init__(self, client: httpx.Client, name: str) -> None:
        self.client = client
        self.name = name

    def send(self, code: str, **keywords: Any) -> httpx.Response:
        """The caller's view of a call that runs ``code``."""
        path = f"/spaces/{SPACE}/functions/{self.name}/invoke"
        return self.client.post(path, content=code.encode(), **keywords)

    def run(self, code: str, **keywords: Any) -> Any:
        """What ``code`` left in ``found``."""
        answer = self.send(code, **keywords)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content)


@pytest.fixture(scope="module")
def make(server: Server, deploy: Deploy) -> Iterator[Callable[..., Function]]:
    """``make(name, source, **options)``"""
    headers, kept = dict(server.client.headers), httpx.Limits(keepalive_expiry=None)
    with httpx.Client(base_url=server.url, headers=headers, limits=kept, timeout=60.0 * FACTOR) as client:
        yield lambda name, source=SOURCE, **options: Function(
            client, deploy(name, source, **{"max_instances": 1, **options})
        )


@pytest.fixture(scope="module")
def fresh(make: Callable[..., Function]) -> Function:
    """Each call in a process of its own, forked ahead."""
    return make("fresh-forked", fresh=True)


@pytest.fixture(scope="module")
def kept(make: Callable[..., Function]) -> Function:
    """The control."""
    return make("fresh-not")


@pytest.fixture(scope="module")
def whole(make: Callable[..., Function]) -> Function:
    """Each call in a cell of its own: it cannot be forked from."""
    return make("fresh-whole", WITH_A_FILE, fresh=True)


def survives(function: Function, state: str) -> bool:
    """Whether what one call leaves is there in the next."""
    leave, find = STATES[state]
    left = function.run(leave)
    return bool(function.run(f"left = {left!r}\n{find}"))


@pytest.mark.promise("S45")
@pytest.mark.parametrize("state", STATES)
def test_no_state_of_a_call_is_there_in_the_next(fresh: Function, make: Any, state: str) -> None:
    """The control is new for each state: what is left there would be in the way of the others."""
    assert not survives(fresh, state)
    control = make("fresh-control", SOURCE + f"\n# {state}\n")
    assert survives(control, state)


@pytest.mark.promise("T65")
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_whatever_a_call_did_to_its_descriptors_the_next_callers_large_answer_is_whole(
    fresh: Function, what: str
) -> None:
    body = "x" * (2 << 20)
    for _ in range(2):
        fresh.run(IN_THE_WAY[what])
        assert fresh.run("found = 'x' * (2 << 20)") == body


def test_a_large_answer_of_a_call_that_made_its_pipe_small_is_whole_and_the_next_has_an_ordinary_one(
    fresh: Function,
) -> None:
    """The front may still be reading it when the call's process has ended."""
    before = fresh.run("found = fcntl.fcntl(4, 1032)")
    assert fresh.run("fcntl.fcntl(4, 1031, 1 << 13); found = 'x' * (1 << 20)") == "x" * (1 << 20)
    assert fresh.run("found = fcntl.fcntl(4, 1032)") == before


def test_one_template_forks_the_processes_of_its_calls(fresh: Function, whole: Function) -> None:
    """Else the tests above would try whole instances only."""
    (first, parent), (second, other) = (fresh.run("found = [os.getpid(), os.getppid()]") for _ in range(2))
    assert parent == other == 2, "pid 1 forks the worker, and nothing else"
    assert second > first > parent
    assert whole.run("found = [os.getpid(), os.getppid()]") == [2, 1]


@pytest.mark.parametrize("state", ["a global", "a file in /tmp", "a process", "an open file"])
def test_an_import_that_cannot_be_forked_gets_a_whole_instance_for_each_call(
    whole: Function, state: str
) -> None:
    assert not survives(whole, state)


def test_why_calls_get_a_whole_instance_is_logged_once(whole: Function, server: Server) -> None:
    for _ in range(3):
        whole.run("")
    server.said(f"{SPACE}/{whole.name}: with fresh")
    said = [line for line in server.log.splitlines() if f"{SPACE}/{whole.name}: with fresh" in line]
    assert all("its import opens files" in line for line in said)
    assert 1 <= len(said) <= 2, "once for each front"


@pytest.mark.promise("S82")
@pytest.mark.parametrize(
    ("name", "source", "why"),
    [
        ("threads", "import threading, time\n"
         "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "starts threads"),
        ("processes", "import os, time\nif os.fork() == 0:\n    while True: time.sleep(9)",
         "starts processes"),
        ("daemons", "import os, time\nif os.fork() == 0:\n    if os.fork() == 0:\n"
         "        while True: time.sleep(9)\n    os._exit(0)\nos.wait()", "starts processes"),
        ("memory", "import mmap\nkept = mmap.mmap(-1, 4096)", "shared memory"),
        ("tmp", "open('/tmp/mark', 'w').close()", "leaves files"),
    ],
)  # fmt: skip
def test_what_an_import_leaves_is_never_shared_by_two_calls(
    make: Any, server: Server, name: str, source: str, why: str
) -> None:
    before = server.log_bytes
    function = make(f"fresh-{name}", f"{source}\n{SOURCE}", fresh=True)
    assert function.run("mark = 1; found = os.path.exists('/tmp/mark')") is (name == "tmp")
    assert function.run("found = 'mark' in globals()") is False
    server.said(f"{SPACE}/{function.name}: with fresh", since=before)
    assert any(function.name in line and why in line for line in server.log_since(before).splitlines())


def test_a_process_that_is_left_reads_no_call_of_another(fresh: Function, kept: Function) -> None:
    fresh.run(THIEF)
    assert [fresh.run(f"found = {number}") for number in range(5)] == list(range(5))
    kept.run(THIEF)
    # Two processes read one pipe: whichever is first has the call, and the thief is soon enough.
    answers = (kept.send("found = 1", headers={"X-Timeout": "1"}) for _ in range(20))
    assert any(answer.status_code == 504 for answer in answers)


@pytest.mark.promise("T46")
def test_a_process_that_is_left_answers_no_call_of_another(make: Any) -> None:
    for is_fresh, answer, seconds in ((True, "own", IN_VAIN_SECONDS), (False, "forged", FORGED_SECONDS)):
        function = make(f"fresh-forged-{answer}", fresh=is_fresh)
        function.run(FORGER)
        assert function.run(FORGED.format(seconds=seconds)) == answer


def test_a_thread_that_is_left_answers_no_call_of_another(make: Any) -> None:
    function = make("fresh-threads-left", fresh=True)
    late = FORGER.replace("if os.fork() == 0:\n    os.setsid()", "def late():").replace("os._exit(0)", "pass")
    function.run(late + "threading.Thread(target=late).start()")
    assert function.run(FORGED.format(seconds=IN_VAIN_SECONDS)) == "own"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP", "SIGTERM", "SIGUSR1", "SIGCHLD", "SIGRTMIN"])
def test_a_call_that_signals_its_parent_is_nobody_elses_concern(fresh: Function, name: str) -> None:
    fresh.send(f"os.kill(os.getppid(), signal.{name}); found = 1")
    assert fresh.run("found = [heard, 'mark' in globals()]") == [0, False]


@pytest.mark.parametrize(
    "crash",
    ["os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(0)", "os._exit(3)", "os.kill(0, signal.SIGKILL)"],
)
def test_a_call_that_crashes_costs_one_caller_a_502(fresh: Function, crash: str) -> None:
    assert_envelope(fresh.send(crash), 502)
    assert fresh.run("found = 1") == 1


def test_time_limits_hold(make: Any) -> None:
    function = make("fresh-late", fresh=True)
    soft = function.send("while True: pass", headers=SHORT_LIMIT)
    assert_envelope(soft, 504)
    assert "in handle" in soft.text
    assert function.run("found = 1") == 1
    deaf = "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\ntime.sleep(60)"
    hard = function.send(deaf, headers=SHORT_LIMIT)
    assert_envelope(hard, 504)
    assert function.run("found = 1") == 1


def test_memory_limits_hold(make: Any) -> None:
    function = make("fresh-greedy", fresh=True, memory=64)
    for _ in range(3):
        # More than the kernel gives: a little above the limit a call may have ended before it hears.
        too_much = function.send("kept = bytearray(300 << 20)")
        assert too_much.status_code == 502
        assert "its limit is 64 MiB" in too_much.text
        assert function.run("kept = bytearray(20 << 20); found = 1") == 1


def test_a_call_may_have_as_many_processes_as_without(make: Any) -> None:
    fork = (
        "children = []\ntry:\n    while True:\n        pid = os.fork()\n"
        "        if not pid:\n            while True: time.sleep(9)\n        children.append(pid)\n"
        "except BlockingIOError: pass\nfound = len(children)"
    )
    functions = [make(f"fresh-forks-{fresh:d}", fresh=fresh, processes=6) for fresh in (True, False)]
    assert [function.run(fork) for function in functions] == [5, 5]
    assert functions[0].run(fork) == 5


def test_context_values_and_logs_are_the_calls_own(fresh: Function, server: Server) -> None:
    code = "print('marked-line'); found = [function.context.call_id, function.secrets.get('FRESH')]"
    path = f"/spaces/{SPACE}/secrets/FRESH"
    for value in ("one", "two"):
        assert server.client.put(path, json={"value": value}).status_code in (201, 204)
        for _ in range(2):
            assert fresh.run(code, headers={"X-Call-Id": f"call-{value}"}) == [f"call-{value}", value]
    server.said("call-two stdout: marked-line", times=2)
    server.client.delete(path)


def test_coroutines_get_a_process_each(make: Any) -> None:
    function = make("fresh-async", ASYNC, fresh=True)
    assert [function.run("mark = globals().get('mark', 0) + 1; found = mark") for _ in range(3)] == [1, 1, 1]


def test_many_callers_at_once_meet_nothing_of_each_other(make: Any) -> None:
    function = make("fresh-crowded", fresh=True, max_instances=4)
    code = "found = ['mark' in globals(), os.listdir('/tmp')]; mark = 1; open('/tmp/mark', 'w').close()"
    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(lambda _: function.run(code), range(50))) == [[False, []]] * 50
