"""What callers are told when there is no place for their call: 408, 429, 503; and the operator's settings."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import MakeServer
from tests.support.envelope import assert_envelope
from tests.support.raw_http import exchange, read_answer, target
from tests.support.server import TOKEN, Server
from tests.support.together import together

QUEUE_SECONDS = 2.0
# Longer than any test here: such a call ends when its caller hangs up.
FOREVER = b"50"
SLEEPS = """
import time
def handle(req):
    print("sleeps", flush=True)
    time.sleep(float(req.body))
    return {"body": "slept"}
"""


@pytest.fixture(scope="module")
def narrow(module_server: MakeServer) -> Server:
    """A server with one front, room for one cell and little patience."""
    return module_server(
        workers=1,
        queue_seconds=QUEUE_SECONDS,
        queue_depth=2,
        max_cells=1,
        blank_cells=0,
        body_seconds=1,
        text_content_type="plain/text",
    )


@contextlib.contextmanager
def held(server: Server, name: str) -> Iterator[None]:
    """An instance of the function is busy until the end."""
    address = urlsplit(server.url)
    head = f"POST {target(name)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    before = server.log_bytes
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(f"{head}Content-Length: {len(FOREVER)}\r\n\r\n".encode() + FOREVER)
        server.said("stdout: sleeps", since=before)
        yield
        assert not select.select([connection], [], [], 0)[0], "it has been answered"


def outcomes(answers: list[httpx.Response]) -> list[int]:
    return sorted(answer.status_code for answer in answers)


def test_a_call_that_finds_every_instance_busy_is_429_with_retry_after(narrow: Server) -> None:
    narrow.deploy("busy", SLEEPS, max_instances=1)
    with held(narrow, "busy"):
        answers = together([lambda: narrow.call("busy", content=b"0")] * 2)
    for answer in answers:
        error = assert_envelope(answer, 429, "stayed busy", "max_instances")
        assert error["details"]["reason"] == "concurrency"
        assert int(answer.headers["retry-after"]) >= 1
        assert float(answer.headers["x-duration-seconds"]) >= QUEUE_SECONDS
    assert narrow.call("busy", content=b"0").text == "slept"


def test_a_call_that_finds_the_queue_full_is_429_at_once(narrow: Server) -> None:
    narrow.deploy("queued", SLEEPS, max_instances=1)
    with held(narrow, "queued"):
        answers = together([lambda: narrow.call("queued", content=b"0")] * 5)
    full = [answer for answer in answers if "queue is full" in answer.text]
    assert outcomes(answers) == [429] * 5
    assert len(full) == 3  # two wait
    for answer in full:
        error = assert_envelope(answer, 429, "2 calls are waiting")
        assert error["details"] == {"reason": "queue", "queue_depth": 2}
        assert int(answer.headers["retry-after"]) >= 1
        assert float(answer.headers["x-duration-seconds"]) < QUEUE_SECONDS


def test_a_call_for_which_there_is_no_cell_is_503_with_retry_after(narrow: Server) -> None:
    for name in ("one", "other"):
        narrow.deploy(name, SLEEPS)
    with held(narrow, "one"):
        refused = narrow.call("other", content=b"0")
    error = assert_envelope(refused, 503, "try again")
    assert error["details"]["reason"] == "capacity"
    assert int(refused.headers["retry-after"]) >= 1
    # The cell that is idle now makes room for whoever comes next.
    for name in ("one", "other", "one"):
        assert narrow.call(name, content=b"0").text == "slept"


KINDS = {
    "plain": "def handle(req):\n    return {'body': 'x'}\n",
    "async": "import asyncio\nasync def handle(req):\n    return {'body': 'x'}\n",
}
ROOM = 6
LEASE_SECONDS = 40.0
WAITED_IN_VAIN_SECONDS = LEASE_SECONDS / 2


@pytest.mark.promise("S86")
def test_at_the_limit_idle_instances_and_spare_cells_make_way_for_functions_of_every_kind(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(max_cells=ROOM, blank_cells=2, queue_seconds=LEASE_SECONDS)
    names = [f"{kind}-{number}" for number in range(ROOM) for kind in KINDS]
    for name in names:  # to be checked it needs a cell, too
        server.deploy(name, KINDS[name.partition("-")[0]])
    for name in names * 2:
        assert server.call(name).text == "x", name


def test_at_the_limit_a_function_that_is_to_be_kept_waits_no_longer_than_another(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(max_cells=ROOM, blank_cells=1, queue_seconds=LEASE_SECONDS)
    kept, others = [f"kept-{number}" for number in range(3)], [f"other-{number}" for number in range(ROOM)]
    for name in kept:
        server.deploy(name, KINDS["plain"], min_instances=1)
    for name in others:
        server.deploy(name, SLEEPS)
    for _ in range(2):
        # They take every cell, and longer than the fronts need to see that what is to be kept is not there.
        calls = [lambda name=name: server.call(name, content=b"1.2") for name in others]
        assert outcomes(together(calls)) == [200] * ROOM  # type: ignore[arg-type]
        for name in kept:
            answer = server.call(name)
            assert answer.text == "x"
            assert float(answer.headers["x-duration-seconds"]) < WAITED_IN_VAIN_SECONDS


def test_a_body_that_stops_arriving_is_408(narrow: Server) -> None:
    narrow.deploy("patient", SLEEPS)
    address = urlsplit(narrow.url)
    head = f"POST {target('patient')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    began = time.monotonic()
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(f"{head}Content-Length: 10\r\n\r\nhalf".encode())
        assert_envelope(read_answer(connection, "POST"), 408, "did not arrive within 1 s")
    assert time.monotonic() - began < 5


def test_a_caller_that_hangs_up_inside_its_body_costs_nothing(narrow: Server) -> None:
    narrow.deploy("left", SLEEPS)
    address = urlsplit(narrow.url)
    head = f"POST {target('left')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    before = len(narrow.log)
    for _ in range(20):
        with socket.create_connection((address.hostname, address.port), 10) as connection:
            connection.sendall(f"{head}Content-Length: 10\r\n\r\nhalf".encode())
    assert narrow.call("left", content=b"0").text == "slept"
    assert "Traceback" not in narrow.log[before:]


def test_the_operators_text_content_type_is_that_of_text_without_one(narrow: Server) -> None:
    narrow.deploy("text", "def handle(req):\n    return {'body': 'x'}\n")
    assert exchange(narrow, "POST", target("text")).all("content-type") == ["plain/text"]
