"""Wrong tokens over HTTP, by every way to a credential: slowed, told, and never at a right one's cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from supervisor.front.invoke.callers.credential import SLOWED_S
from supervisor.front.invoke.callers.wrong_tokens import BURST, EVERY_S
from tests.conftest import MakeServer
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
# A busy machine answers hundreds in that time.
MOST_SECONDS = 60.0


# Addresses of proxies, and of others: a server that trusts the first hears both.
PROXIES = "127.0.2.0/24"
PROXY, STRANGER = "127.0.2.1", "127.0.3.1"


@pytest.fixture(scope="module")
def guarded(module_server: MakeServer) -> Server:
    running = module_server(workers=1, trusted_proxies=f'["{PROXIES}"]')
    running.deploy("guarded", "def handle(req): return {'body': 'in'}")
    return running


@dataclass(frozen=True)
class Caller:
    """Somebody who calls from an address of its own, which no other test was wrong from."""

    server: Server
    address: str

    def connect(self) -> HTTPConnection:
        place = urlsplit(self.server.url)
        return HTTPConnection(place.hostname or "", place.port, timeout=30, source_address=(self.address, 0))


ADDRESSES = (f"127.0.1.{number}" for number in range(1, 255))


@pytest.fixture
def caller(guarded: Server) -> Caller:
    return Caller(guarded, next(ADDRESSES))


def guess(caller: Caller, door: str, until: float) -> list[int]:
    """Wrong tokens on one connection for a while, until one is slowed; what they were answered."""
    statuses: list[int] = []
    connection = caller.connect()
    while time.monotonic() < until or 429 not in statuses:
        assert time.monotonic() < until + MOST_SECONDS, "nobody is slowed"
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
    caller: Caller, door: str
) -> None:
    connection = caller.connect()

    def right() -> tuple[bytes, float]:
        began = time.perf_counter()
        connection.request(*DOORS["a private function"], headers=RIGHT)
        return connection.getresponse().read(), time.perf_counter() - began

    assert right()[0] == b"in"
    began = time.monotonic()
    until = began + SECONDS
    with ThreadPoolExecutor(AT_ONCE) as pool:
        guessing = [pool.submit(guess, caller, door, until) for _ in range(AT_ONCE)]
        served = []
        while not all(one.done() for one in guessing):
            served.append(right())
        statuses = [status for one in guessing for status in one.result()]
    seconds = time.monotonic() - began
    connection.close()
    assert {body for body, _ in served} == {b"in"}
    assert sorted(took for _, took in served)[len(served) // 2] < SLOWED_S, "the right one is slowed"
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= BURST + (seconds + 2) / EVERY_S
    # Without a delay one connection alone is answered hundreds of times a second.
    assert len(statuses) <= BURST + AT_ONCE * (seconds + 2) / SLOWED_S
    line = f"wrong tokens from {caller.address},"
    caller.server.said(line)
    assert caller.server.log.count(line) == 1, "one line a minute"
    assert "xxxxxxxx" not in caller.server.log, "and not the tokens"


WRONG = {"Authorization": f"Bearer wrong-{'x' * 20}"}


def test_control_without_a_count_of_them_wrong_tokens_are_answered_without_end(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    uncounted = Change("supervisor/front/invoke/callers/wrong_tokens.py", "BURST = 10**9", old="BURST = 100")
    python = weakened_tree(tmp_path, frozenset(), uncounted, self_test=True)
    server = make_server(python=python, workers=1)
    assert asked_often(
        Caller(server, next(ADDRESSES)), DOORS["a function that does not exist"][1], WRONG
    ) == {(401, b"")}


def asked_often(caller: Caller, path: str, headers: dict[str, str]) -> set[tuple[int, bytes]]:
    connection = caller.connect()
    found = set()
    for _ in range(BURST + 50):
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        found.add((answer.status, body if answer.status == 200 else b""))
    connection.close()
    return found


def wrong_by_way_of(server: Server, peer: str, callers: list[str], door: str) -> dict[str, set[int]]:
    """What each caller's wrong token is answered, all of them on one connection from ``peer``."""
    connection = Caller(server, peer).connect()
    found: dict[str, set[int]] = {}
    for caller in callers:
        connection.request(*DOORS[door], headers={**WRONG, "X-Forwarded-For": f"6.6.6.6, {caller}"})
        answer = connection.getresponse()
        answer.read()
        found.setdefault(caller, set()).add(answer.status)
    connection.close()
    return found


@pytest.mark.parametrize("door", DOORS)
def test_behind_a_trusted_proxy_wrong_tokens_are_their_callers_and_nobody_elses(
    guarded: Server, door: str
) -> None:
    number = list(DOORS).index(door)
    guesser, other = f"198.51.100.{number}", f"203.0.113.{number}"
    found = wrong_by_way_of(guarded, PROXY, [guesser] * (BURST + 3) + [other], door)
    assert found == {guesser: {401, 429}, other: {401}}
    guarded.said(f"wrong tokens from {guesser},")
    assert f"wrong tokens from {PROXY}" not in guarded.log


def test_control_an_address_that_a_stranger_writes_changes_nothing(guarded: Server) -> None:
    """Each guess pretends to come from somebody else, with the header that a proxy of ours would send."""
    forged = [f"198.18.{number // 256}.{number % 256}" for number in range(BURST + 3)]
    found = wrong_by_way_of(guarded, STRANGER, forged, "the API")
    assert set().union(*found.values()) == {401, 429}
    guarded.said(f"wrong tokens from {STRANGER},")
    assert "198.18." not in guarded.log


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic dXNlcjpwYXNz"}], ids=["none", "basic"])
def test_who_sends_no_token_is_no_guesser(caller: Caller, headers: dict[str, str]) -> None:
    assert asked_often(caller, DOORS["a private function"][1], headers) == {(401, b"")}


def test_a_functions_own_callers_may_hold_tokens_that_are_not_ours(caller: Caller) -> None:
    caller.server.deploy(
        "open", "def handle(req): return {'body': req.headers['Authorization']}", public=True
    )
    headers = {"Authorization": "Bearer the-functions-own"}
    path = f"/spaces/{SPACE}/functions/open/invoke"
    assert asked_often(caller, path, headers) == {(200, b"Bearer the-functions-own")}
