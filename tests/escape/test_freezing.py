"""What a function does to run on while it should be idle (86): in a frozen cell nothing of it runs.

Each way to be continued is tried in a complete cell, in one that is stopped by a signal with the filter in
force, as on a host without cgroup v2, and in the control: stopped by a signal, without the filter.  What
a cell does is seen from outside: by the processor time of its processes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.eventually import SECONDS, eventually
from tests.support.groups import is_frozen
from tests.support.processes import all_gone_within, descendants_of, pid_namespace, watch
from tests.support.server import Server
from tests.support.weakened import weakened_tree

# Long enough for who is continued every 50 ms to use a lot of it.
LOOK_SECONDS = 0.6
# A process that uses so much was not standing still.
RAN_TICKS = 6
WORK = "sum(range(20000))"

SOURCE = f"""
import ctypes, os, signal, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)

# A timer's signal that nobody would hear is not sent.
signal.signal(signal.SIGCONT, lambda *_: None)

def busy():
    while True:
        {WORK}

def handle(req):
    exec(req.body.decode(), globals())
    return {{"body": os.readlink("/proc/self/ns/pid")}}
"""

BUSY = "threading.Thread(target=busy, daemon=True).start()\n"
# struct sigevent: a value, the signal, SIGEV_SIGNAL; struct itimerspec: 50 ms and again each 50 ms.
TIMER = """
event = ctypes.create_string_buffer(struct.pack("Qii", 0, signal.SIGCONT, 0), 64)
timer = ctypes.c_int()
if libc.syscall(222, 1, event, ctypes.byref(timer)) == 0:
    times = struct.pack("qqqq", 0, 50_000_000, 0, 50_000_000)
    libc.syscall(223, timer, 0, ctypes.create_string_buffer(times), None)
"""
WAYS = {
    "a-timer-that-continues": TIMER,
    "an-alarm": (
        "signal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\n"
    ),
    "another-process-of-the-cell": (
        "if os.fork() == 0:\n    while True:\n"
        "        os.kill(os.getppid(), signal.SIGCONT); time.sleep(0.01)\n"
    ),
    "a-child-whose-end-continues": (
        "if libc.syscall(56, int(signal.SIGCONT), None, None, None, 0) == 0:\n"
        "    time.sleep(1); os._exit(0)\n"
    ),
    "a-file-that-continues": (
        "import fcntl\nr, w = os.pipe()\n"
        "for what in ((r, 8, os.getpid()), (r, 10, int(signal.SIGCONT))):\n"
        "    try: fcntl.fcntl(*what)\n    except PermissionError: pass\n"
        "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\nos.write(w, b'1')\n"
    ),
    "the-death-of-a-parent": "libc.prctl(1, int(signal.SIGCONT))\n",
}

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]
Servers = Callable[[frozenset[str]], Server]


@pytest.fixture(scope="module")
def servers_of(tmp_path_factory: pytest.TempPathFactory, one_runtime: Path) -> Iterator[Servers]:
    """A server whose cells lack these layers and are stopped soon."""
    made: dict[frozenset[str], Server] = {}

    def get(without: frozenset[str]) -> Server:
        if without not in made:
            folder = tmp_path_factory.mktemp("freezing")
            python = weakened_tree(folder, without) if without else None
            made[without] = Server(
                folder / "data", 1, python=python, uid=0 if python else None, runtimes_dir=one_runtime,
                preload="[]", freeze_seconds=0.2,
            )  # fmt: skip
        return made[without]

    yield get
    for server in made.values():
        assert server.stop() == 0, server.log


def ticks_of(pids: list[int]) -> int:
    """Processor time that these processes have used, ticks."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


@contextlib.contextmanager
def idle_cell(server: Server, way: str) -> Iterator[list[int]]:
    """The processes of a cell whose function has prepared itself this way and has been answered."""
    name = f"restless-{way}"
    server.deploy(name, SOURCE, max_instances=1, processes=16)
    namespace = server.call(name, content=(WAYS[way] + BUSY).encode()).text
    pids = [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace]
    assert len(pids) >= 2
    yield pids
    assert server.call(name, content=b"").text == namespace, "the same instance, thawed"
    server.client.delete(f"/spaces/demo/functions/{name}")


def ran_while_idle(server: Server, way: str) -> int:
    """What a cell used in LOOK_SECONDS once it was first seen to stand still, ticks."""
    with idle_cell(server, way) as pids:
        eventually(lambda: any(is_frozen(pid) for pid in pids), f"it is never frozen:\n{server.log[-2000:]}")
        before = ticks_of(pids)
        time.sleep(LOOK_SECONDS)
        return ticks_of(pids) - before


@pytest.mark.promise("T39")
@pytest.mark.parametrize("way", WAYS)
def test_086_nothing_of_a_frozen_cell_runs_whatever_it_prepared(servers_of: Servers, way: str) -> None:
    assert ran_while_idle(servers_of(frozenset()), way) == 0


@pytest.mark.parametrize("way", WAYS)
def test_086_what_is_stopped_by_a_signal_has_no_way_to_go_on_under_the_filter(
    servers_of: Servers, way: str
) -> None:
    assert ran_while_idle(servers_of(frozenset({"frz"})), way) == 0


def test_086_control_without_freezer_and_filter_a_timer_keeps_an_idle_cell_running(
    servers_of: Servers,
) -> None:
    with idle_cell(servers_of(frozenset({"frz", "sec"})), "a-timer-that-continues") as pids:
        # It stands still for moments that nobody may see: by now it has been stopped.
        time.sleep(LOOK_SECONDS)
        before = ticks_of(pids)
        eventually(lambda: ticks_of(pids) - before >= RAN_TICKS, "it stands still")


@pytest.mark.parametrize("way", ["killed", "deleted"])
def test_a_frozen_cell_ends_as_others_do(way: str, make_server: Callable[..., Server]) -> None:
    """v1's freezer would keep it: what it holds does not die of SIGKILL."""
    server = make_server(freeze_seconds=0.2)
    server.deploy("frozen", SOURCE, max_instances=1)
    namespace = server.call("frozen", content=BUSY.encode()).text
    pids = [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace]
    eventually(lambda: all(is_frozen(pid) for pid in pids[1:]))
    watched = watch(pids)
    if way == "killed":
        server.process.kill()
        server.process.wait()
    else:
        server.client.delete("/spaces/demo/functions/frozen")
    assert all_gone_within(watched, SECONDS)
