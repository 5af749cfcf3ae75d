"""However a tenant's processes end, and however often: nobody else is kept waiting, and no place is lost."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.escape.neighbour import Tenant
from tests.fault.conftest import MakeSmall
from tests.support.eventually import eventually
from tests.support.groups import leaf_names
from tests.support.patience import FACTOR
from tests.support.processes import children_of, processes_of_mark
from tests.support.server import SPACE, Server

MOST_CELLS = 6
FIRST_ANSWERS = 5
# A first answer takes tens of milliseconds; one that waits for a lost place takes all of queue_seconds.
TIMES, AND_SECONDS = 5.0, 2.0
# Of the two hundred: every third is of each way, and of signals with and without a name.
SOME_DEATHS, ALL_DEATHS = slice(0, None, 3), slice(None)
# These end nobody: they are ignored, or they stop, and a call that is stopped is ended at its limit.
STOPS = (19, 20, 21, 22)
HARMLESS = (17, 18, 23, 28)
DIER = """
import os, signal, uuid
MARK = uuid.uuid4().hex
open("/tmp/" + MARK, "w").close()

def handle(req):
    word, _, number = req.body.decode().partition(" ")
    if word == "signal":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {int(number)})
        try:
            signal.signal(int(number), signal.SIG_DFL)
        except (OSError, ValueError):
            pass
        os.kill(os.getpid(), int(number))
    elif word == "exit":
        os._exit(int(number))
    elif word == "everybody":
        for _ in range(3):
            if os.fork() == 0:
                os.kill(0, int(number))
        os.kill(-1, int(number))
    return {"body": MARK}
"""
# What is imported runs in the process that forks one for each call: it can say of that one what it likes.
LYING_TEMPLATE = """
import os
REAL = os.waitpid

def lie(pid, flags):
    return REAL(pid, flags)[0], int(STATUS)

def handle(req):
    return {"body": "here"}
os.waitpid = lie
"""
QUIET = "def handle(req):\n    return {'body': 'quiet'}\n"


@pytest.fixture(scope="module")
def crowded(small_server: MakeSmall) -> Iterator[Server]:
    """One front, and room for a few cells: a place that is lost is missed."""
    with small_server(max_cells=MOST_CELLS, workers=1) as running:
        yield running


def first_answers(server: Server, names: list[str]) -> float:
    """Seconds from a call to the first answer of functions that have no instance: the median."""
    quiet, took = Tenant(server, "quiet"), []
    for name in names:
        quiet.deploy(name, QUIET)
        began = time.perf_counter()
        assert quiet.call(name).text == "quiet"
        took.append(time.perf_counter() - began)
        quiet.remove(name)
    return statistics.median(took)


def deaths() -> list[tuple[str, int]]:
    """What is asked of the worker: each signal, each way twice or more, and exit codes; 200 of them."""
    signals = [number for number in range(1, 65) if number not in (*STOPS, *HARMLESS)]
    asked = [("signal", number) for number in signals]
    asked += [("everybody", number) for number in signals]
    asked += [
        ("exit", code) for code in (0, 1, 2, 40, 64, 77, 99, 100, 126, 127, 128, 137, 139, 200, 254, 255)
    ]
    asked += [("signal", number) for number in range(32, 65)] + [("exit", code) for code in range(30, 70)]
    return asked[:200]


@pytest.mark.promise("S90")
@pytest.mark.parametrize(
    "times",
    [pytest.param(SOME_DEATHS, id="some"), pytest.param(ALL_DEATHS, id="all", marks=pytest.mark.proof)],
)
def test_after_two_hundred_deaths_another_space_is_answered_as_fast_as_before(
    small_server: MakeSmall, times: slice
) -> None:
    """A place lost at each of them is missed after the sixth: ``make test`` has every third of the deaths."""
    with small_server(max_cells=MOST_CELLS) as server:
        server.deploy("dier", DIER, max_instances=4, timeout=5.0 * FACTOR)
        before = first_answers(server, [f"before{index}" for index in range(FIRST_ANSWERS)])
        for word, number in deaths()[times]:
            answer = server.call("dier", content=f"{word} {number}".encode())
            # SIGINT may be an exception of Python's, which the worker lives through.
            may_be = (200, 500, 502) if number == signal.SIGINT else (200, 502)
            assert answer.status_code in may_be, (word, number, answer.text)
            if answer.status_code == 502 and word == "signal":
                details = answer.json()["error"]["details"]
                assert details["signal"] == number, answer.text
        after = first_answers(server, [f"after{index}" for index in range(FIRST_ANSWERS)])
        assert after < TIMES * before + AND_SECONDS, (before, after)
        assert_places_are_right(server, ["dier"])
        assert_nothing_of_ours_failed(server)


@pytest.mark.parametrize("status", [100, 127, 40, 64, 0x7F, 0xFFFF, 255 << 8, 0x8B, -1, 1 << 30])
def test_whatever_a_template_says_of_its_calls_process_costs_its_own_cell_only(
    crowded: Server, status: int
) -> None:
    source = LYING_TEMPLATE.replace("STATUS", str(status))
    crowded.deploy("liar", source, fresh=True, max_instances=2)
    before = first_answers(crowded, ["before"])
    for _ in range(2 * MOST_CELLS):
        assert crowded.call("liar").status_code in (200, 502)
    assert first_answers(crowded, ["after"]) < TIMES * before + AND_SECONDS
    assert_places_are_right(crowded, ["liar"])
    assert_nothing_of_ours_failed(crowded)


def test_a_pid_1_that_is_killed_from_outside_costs_its_cell_only(crowded: Server) -> None:
    crowded.deploy("dier", DIER, max_instances=4)
    for _ in range(2 * MOST_CELLS):
        mark = crowded.call("dier").text
        first = [pid for pid in processes_of_mark(crowded.pid, mark) if pid in children_of(crowded.pid)]
        os.kill(first[0], signal.SIGKILL)
        eventually(lambda first=first: first[0] not in children_of(crowded.pid), "pid 1 lives on")
    assert crowded.call("dier").status_code == 200
    assert_places_are_right(crowded, ["dier"])


def assert_nothing_of_ours_failed(server: Server) -> None:
    ours = [line for line in server.log.splitlines() if "cellblock.function" not in line]
    assert not any("Traceback" in line for line in ours), ours[-40:]


def assert_places_are_right(server: Server, names: list[str]) -> None:
    """No function has more instances than there are cells, and all places can be had at once."""
    for name in names:
        told = server.client.get(f"/spaces/{SPACE}/functions/{name}").json()
        assert told["metrics"]["replicas"] <= len(leaf_names(server.data_dir)) <= MOST_CELLS, told
    server.deploy(
        "all-places",
        "import time\nasync def handle(req):\n    time.sleep(0.3)\n    return {'body': 'in'}\n",
        max_instances=MOST_CELLS, concurrency=1,
    )  # fmt: skip
    for name in names:
        assert server.client.delete(f"/spaces/{SPACE}/functions/{name}").status_code == 204
    at_once(server, "all-places", MOST_CELLS)
    eventually(lambda: replicas(server, "all-places") == MOST_CELLS, "a place is lost")
    assert server.client.delete(f"/spaces/{SPACE}/functions/all-places").status_code == 204


def at_once(server: Server, name: str, number: int) -> None:
    with ThreadPoolExecutor(number) as pool:
        assert set(pool.map(lambda _: server.call(name).text, range(4 * number))) == {"in"}


def replicas(server: Server, name: str) -> int:
    found: int = server.client.get(f"/spaces/{SPACE}/functions/{name}").json()["metrics"]["replicas"]
    return found
