"""Wrong tokens over HTTP, by every way to a credential: slowed, told, and never at a right one's cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from supervisor.front.invoke.credential import SLOWED_S
from supervisor.front.invoke.wrong_tokens import BURST, EVERY_S
from tests.support.eventually import eventually
from tests.support.runtimes import only_default_runtime
from tests.support.server import SPACE, TOKEN, Server
from tests.support.weakened import Change, weakened_tree

RIGHT = {"Authorization": f"Bearer {TOKEN}"}
DOORS = {
    "the API": ("GET", f"/spaces/{SPACE}/functions"),
    "a private function": ("POST", f"/spaces/{SPACE}/functions/guarded/invoke"),
    "a function that does not exist": ("POST", f"/spaces/{SPACE}/functions/nobody/invoke"),
    "the layers": ("GET", "/healthz?verbose"),
}
AT_ONCE = 8
SECONDS = 3.0


@pytest.fixture
def guessed(make_server: Callable[..., Server]) -> Iterator[Server]:
    server = make_server(workers=1)
    server.deploy("guarded", "def handle(req): return {'body': 'in'}")
    yield server


def asking(server: Server) -> HTTPConnection:
    address = urlsplit(server.url)
    return HTTPConnection(address.hostname or "", address.port, timeout=30)


def guess(server: Server, door: str, until: float) -> list[int]:
    """Wrong tokens on one connection for a while; what they were answered."""
    statuses = []
    connection = asking(server)
    while time.monotonic() < until:
        headers = {"Authorization": f"Bearer wrong-{len(statuses)}-{'x' * 20}"}
        connection.request(*DOORS[door], headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        statuses.append(answer.status)
        if answer.status == 429:
            assert 1 <= int(answer.headers["retry-after"]) <= EVERY_S + 1
            assert json.loads(body)["error"]["status"] == 429
    connection.close()
    return statuses


@pytest.mark.promise("T69")
@pytest.mark.parametrize("door", DOORS)
def test_wrong_tokens_are_slowed_and_told_and_a_right_one_from_the_same_address_is_served(
    guessed: Server, door: str
) -> None:
    connection = asking(guessed)

    def right() -> tuple[bytes, float]:
        began = time.perf_counter()
        connection.request(*DOORS["a private function"], headers=RIGHT)
        return connection.getresponse().read(), time.perf_counter() - began

    assert right()[0] == b"in"
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(AT_ONCE) as pool:
        guessing = [pool.submit(guess, guessed, door, until) for _ in range(AT_ONCE)]
        served = []
        while time.monotonic() < until:
            served.append(right())
        statuses = [status for one in guessing for status in one.result()]
    connection.close()
    assert {body for body, _ in served} == {b"in"}
    assert sorted(seconds for _, seconds in served)[len(served) // 2] < SLOWED_S / 2
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= BURST + (SECONDS + 2) / EVERY_S
    # Without a delay one connection alone is answered hundreds of times a second.
    assert len(statuses) <= BURST + AT_ONCE * (SECONDS + 2)
    eventually(lambda: "wrong tokens from 127.0.0.1" in guessed.log)
    assert guessed.log.count("wrong tokens from 127.0.0.1") == 1, "one line a minute"
    assert "xxxxxxxx" not in guessed.log, "and not the tokens"


WRONG = {"Authorization": f"Bearer wrong-{'x' * 20}"}


def test_control_without_a_count_of_them_wrong_tokens_are_answered_without_end(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    uncounted = Change("supervisor/front/invoke/wrong_tokens.py", "BURST = 10**9", old="BURST = 100")
    python = weakened_tree(tmp_path, frozenset(), uncounted, self_test=True)
    server = make_server(python=python, runtimes_dir=only_default_runtime(tmp_path), workers=1)
    assert asked_often(server, DOORS["a function that does not exist"][1], WRONG) == {(401, b"")}


def asked_often(server: Server, path: str, headers: dict[str, str]) -> set[tuple[int, bytes]]:
    connection = asking(server)
    found = set()
    for _ in range(BURST + 50):
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        found.add((answer.status, body if answer.status == 200 else b""))
    connection.close()
    return found


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic dXNlcjpwYXNz"}], ids=["none", "basic"])
def test_who_sends_no_token_is_no_guesser(guessed: Server, headers: dict[str, str]) -> None:
    assert asked_often(guessed, DOORS["a private function"][1], headers) == {(401, b"")}


def test_a_functions_own_callers_may_hold_tokens_that_are_not_ours(guessed: Server) -> None:
    guessed.deploy("open", "def handle(req): return {'body': req.headers['Authorization']}", public=True)
    headers = {"Authorization": "Bearer the-functions-own"}
    path = f"/spaces/{SPACE}/functions/open/invoke"
    assert asked_often(guessed, path, headers) == {(200, b"Bearer the-functions-own")}
