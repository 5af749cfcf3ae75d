"""Quotas of a space over two fronts: calls, processor time, log lines, deploys."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.tenancy.quota_names import PARTS
from tests.conftest import MakeServer
from tests.support.eventually import eventually
from tests.support.processes import all_gone_within, descendants_of, fronts_of, watch
from tests.support.server import SPACE, TOKEN, Server
from tests.support.together import together

QUOTAS = f"/spaces/{SPACE}/quotas"
ECHO = "def handle(req):\n    return {'body': req.body}\n"
NAPS = "import asyncio\nasync def handle(req):\n    await asyncio.sleep(float(req.body))\n"
BURNS = (
    "import time\ndef handle(req):\n    end = time.process_time() + 0.4\n"
    "    while time.process_time() < end: pass\n"
)
PRINTS = "def handle(req):\n    print('x' * 100)\n"
# Longer than a test takes; its callers hang up before.
LONG_S = 100
LIMIT = 300
CALLERS = 8
# All calls of the load fall into one minute, or the test says so.
LOAD_SECONDS = 45.0
ALONE = {"Connection": "close"}  # whichever front takes it


@pytest.fixture(scope="module")
def two_fronts(module_server: MakeServer) -> Server:
    """A server with two fronts and the functions of this module."""
    server = module_server(workers=2)
    server.deploy("echo", ECHO)
    server.deploy("naps", NAPS, timeout=LONG_S + 20)
    server.deploy("burns", BURNS)
    server.deploy("prints", PRINTS)
    return server


@pytest.fixture
def bound(two_fronts: Server) -> Iterator[Server]:
    """The same; a test's quotas go with it."""
    yield two_fronts
    put(two_fronts)


def put(server: Server, **limits: int) -> Any:
    """Give the space these quotas and no others."""
    answer = server.client.put(QUOTAS, json=limits)
    assert answer.status_code == 200, answer.text
    return answer.json()


def used(server: Server) -> dict[str, int]:
    """What the space uses of its quotas."""
    found: dict[str, int] = server.client.get(QUOTAS).json()["used"]
    return found


def call_alone(server: Server, name: str = "echo", body: str = "x") -> httpx.Response:
    """A call over a connection of its own."""
    return server.call(name, content=body, headers=ALONE)


def quota_of(answer: httpx.Response) -> Any:
    """Which quota refused it."""
    assert answer.status_code == 429, answer.text
    return answer.json()["error"]["details"]["quota"]


@contextlib.contextmanager
def held(server: Server, number: int) -> Iterator[None]:
    """So many calls run; their callers hang up at the end."""
    address = httpx.URL(server.url)
    head = (
        f"POST /spaces/{SPACE}/functions/naps/invoke HTTP/1.1\r\nHost: test\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(str(LONG_S))}\r\n\r\n{LONG_S}"
    )
    with contextlib.ExitStack() as callers:
        for _ in range(number):
            caller = callers.enter_context(socket.create_connection((address.host, address.port), 10.0))
            caller.sendall(head.encode())
        eventually(lambda: used(server)["concurrent_calls"] == number, "the calls do not run")
        yield


@pytest.mark.promise("S216")
@pytest.mark.slow
def test_under_load_at_two_fronts_a_minute_has_its_calls_within_five_per_cent(bound: Server) -> None:
    """It takes as long as some thousand calls."""
    put(bound, calls_per_minute=LIMIT)
    began, statuses, lock = time.monotonic(), Counter[int](), threading.Lock()

    def load() -> None:
        while time.monotonic() - began < LOAD_SECONDS and statuses[429] < LIMIT:
            answer = call_alone(bound)
            with lock:
                statuses[answer.status_code] += 1

    together([load] * CALLERS)
    assert statuses[429] >= LIMIT, "the machine is too slow for this load"
    assert set(statuses) == {200, 429}
    assert 0.95 * LIMIT <= statuses[200] <= LIMIT
    assert used(bound)["calls_per_minute"] == statuses[200]


@pytest.mark.promise("S219")
def test_a_refusal_says_which_quota_its_state_and_when_to_come_again(bound: Server) -> None:
    put(bound, calls_per_minute=2)
    for left in (1, 0):
        answer = call_alone(bound)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"calls_per_minute";q=2;w=60'
        assert answer.headers["ratelimit"] == f'"calls_per_minute";r={left};t=60'
    refused = call_alone(bound)
    assert refused.status_code == 429
    details = refused.json()["error"]["details"]
    wait = details["resets_in_s"]
    assert details == {
        "reason": "quota", "quota": "calls_per_minute", "limit": 2, "used": 2, "resets_in_s": wait,
    }  # fmt: skip
    assert 1 <= wait <= PARTS + 1
    assert refused.headers["retry-after"] == str(wait)
    assert refused.headers["ratelimit"] == f'"calls_per_minute";r=0;t={wait}'
    assert "x-invoked" not in refused.headers
    put(bound)
    free = call_alone(bound)
    assert "ratelimit" not in free.headers and "ratelimit-policy" not in free.headers


@pytest.mark.promise("S218")
def test_a_quota_is_in_force_in_every_front_once_the_change_is_answered(bound: Server) -> None:
    for _ in range(10):
        put(bound, calls_per_minute=0)
        assert {quota_of(answer) for answer in together([partial(call_alone, bound)] * 4)} == {
            "calls_per_minute"
        }
        put(bound, calls_per_minute=10_000)
        assert {answer.status_code for answer in together([partial(call_alone, bound)] * 4)} == {200}
        put(bound)
        assert {answer.status_code for answer in together([partial(call_alone, bound)] * 4)} == {200}


@pytest.mark.promise("S217")
def test_calls_at_once_are_counted_over_all_fronts_and_come_back_when_they_end(bound: Server) -> None:
    put(bound, concurrent_calls=4)
    with held(bound, 4):
        answers = together([partial(call_alone, bound)] * 8)
        assert {quota_of(answer) for answer in answers} == {"concurrent_calls"}
        assert answers[0].headers["retry-after"] == "1"
        assert answers[0].headers["ratelimit-policy"] == '"concurrent_calls";q=4;qu="concurrent-requests"'
        put(bound, concurrent_calls=5)  # the calls that run stay counted
        assert call_alone(bound).status_code == 200
        put(bound, concurrent_calls=4)
        assert quota_of(call_alone(bound)) == "concurrent_calls"
    eventually(lambda: used(bound)["concurrent_calls"] == 0, "a caller that hung up keeps its place")
    assert call_alone(bound).status_code == 200


def test_a_front_that_dies_gives_back_the_calls_that_it_ran(make_server: MakeServer) -> None:
    server = make_server(workers=2)
    server.deploy("naps", NAPS, timeout=LONG_S + 20)
    server.deploy("echo", ECHO)
    put(server, concurrent_calls=6, calls_per_minute=1000)
    with held(server, 6):
        assert quota_of(call_alone(server)) == "concurrent_calls"
        fronts = fronts_of(server.pid)
        watched = watch(fronts)
        for pid in fronts:
            os.kill(pid, signal.SIGKILL)
        assert all_gone_within(watched, 10.0)
        eventually(lambda: _state(server).get("concurrent_calls") == 0, "dead fronts keep their calls")
        # What they had spent stays: six calls, and the new fronts' own.
        assert _state(server)["calls_per_minute"] >= 6
        assert call_alone(server).status_code == 200


def _state(server: Server) -> dict[str, int]:
    """As ``used``, while fronts start again."""
    with contextlib.suppress(httpx.HTTPError):
        answer = httpx.get(
            server.url + QUOTAS, headers={"Authorization": f"Bearer {TOKEN}", **ALONE}, timeout=10.0
        )
        if answer.status_code == 200:
            found: dict[str, int] = answer.json()["used"]
            return found
    return {}


def test_other_spaces_and_callers_without_a_quota_are_not_touched(bound: Server) -> None:
    put(bound, calls_per_minute=0)
    other = "/spaces/default/functions/echo"
    body = {"name": "echo", "source": {"code": "ZGVmIGhhbmRsZShyZXEpOiByZXR1cm4ge30K"}}
    assert bound.client.post("/spaces/default/functions", json=body).status_code in (201, 409)
    assert bound.client.post(f"{other}/invoke", headers=ALONE).status_code == 200
    assert quota_of(call_alone(bound)) == "calls_per_minute"
    assert bound.client.delete(other).status_code == 204


def test_a_refused_call_costs_no_body_and_no_call(bound: Server) -> None:
    """The control: a call that was admitted reads it."""
    put(bound, calls_per_minute=1)
    assert call_alone(bound, body="y" * 100_000).status_code == 200
    for _ in range(3):
        assert quota_of(call_alone(bound, body="y" * 100_000)) == "calls_per_minute"
    assert used(bound)["calls_per_minute"] == 1


@pytest.mark.promise("S220")
def test_processor_time_is_spent_by_reports_and_stays_spent_over_a_restart(make_server: MakeServer) -> None:
    """Two seconds of processor time, and a second start."""
    server = make_server(workers=2)
    server.deploy("burns", BURNS)
    put(server, cpu_seconds_per_hour=1)
    answers = [call_alone(server, "burns") for _ in range(5)]
    eventually(lambda: used(server)["cpu_seconds_per_hour"] >= 1)
    refused = call_alone(server, "burns")
    assert quota_of(refused) == "cpu_seconds_per_hour"
    assert int(refused.headers["retry-after"]) > 3000
    assert answers[0].status_code == 200
    assert server.stop() == 0
    again = make_server(workers=2)
    assert quota_of(call_alone(again, "burns")) == "cpu_seconds_per_hour"
    put(again)
    assert call_alone(again, "burns").status_code == 200


def test_log_lines_above_the_quota_are_dropped_told_and_counted(make_server: MakeServer) -> None:
    server = make_server(workers=2)
    server.deploy("prints", PRINTS)
    put(server, log_bytes_per_day=1050)
    for _ in range(20):
        assert call_alone(server, "prints").status_code == 200
    lines, dropped = log_of(server)
    assert (lines, dropped >= 1) == (10, True)
    assert used(server)["log_bytes_per_day"] == 1000
    answer = server.client.get("/metrics")
    assert 'cellblock_quota_refusals_total{quota="log_bytes_per_day"} 10' in answer.text
    assert server.stop() == 0
    again = make_server(workers=2)
    call_alone(again, "prints")
    assert log_of(again)[0] == 10  # as full as before
    put(again, log_bytes_per_day=5000)
    call_alone(again, "prints")
    call_alone(again, "prints")
    assert log_of(again)[0] > 10


def log_of(server: Server) -> tuple[int, int]:
    """How many lines of ``prints`` were kept, and how many entries say that some were not."""
    records = server.client.get(f"/spaces/{SPACE}/functions/prints/logs").text
    return records.count("x" * 100), records.count("log lines are dropped")


def test_deploys_at_two_fronts_at_once_are_never_above_the_quota(bound: Server) -> None:
    before = len(bound.client.get(f"/spaces/{SPACE}/functions").json()["data"])
    put(bound, functions=before + 2)

    def create(number: int) -> httpx.Response:
        body = {"name": f"new{number}", "source": {"code": "ZGVmIGhhbmRsZShyZXEpOiByZXR1cm4ge30K"}}
        return bound.client.post(f"/spaces/{SPACE}/functions", json=body, headers=ALONE)

    answers = together([partial(create, number) for number in range(6)])
    try:
        assert sorted(answer.status_code for answer in answers) == [201] * 2 + [429] * 4
        assert {quota_of(answer) for answer in answers if answer.status_code == 429} == {"functions"}
        assert used(bound)["functions"] == before + 2
    finally:
        for number in range(6):
            bound.client.delete(f"/spaces/{SPACE}/functions/new{number}")


def test_refusals_are_outcomes_and_metrics(bound: Server) -> None:
    put(bound, calls_per_minute=0)
    for _ in range(3):
        call_alone(bound)
    text = bound.client.get("/metrics").text
    assert f'cellblock_calls_total{{function="echo",outcome="quota",space="{SPACE}"}}' in text
    assert 'cellblock_quota_refusals_total{quota="calls_per_minute"}' in text


def shared_memory_of(pid: int) -> set[str]:
    """The anonymous maps of a process that others can share, by their inodes."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in maps if line.endswith("/dev/zero (deleted)")}


@pytest.mark.needs_root
def test_only_fronts_have_the_counters_that_they_share(bound: Server) -> None:
    call_alone(bound)
    first, second = fronts_of(bound.pid)
    counters = shared_memory_of(first) & shared_memory_of(second)
    assert counters
    fronts_and_master = {first, second, Path(f"/proc/{first}/stat").read_text().split()[3]}
    others = {bound.pid, *descendants_of(bound.pid)} - {int(pid) for pid in fronts_and_master}
    assert len(others) > 2
    for pid in others:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a cell that has ended
            assert not shared_memory_of(pid) & counters
