"""EMFILE in the warden and in a front: what needs a descriptor is refused, and possible again afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.escape.stage import KeptAlive
from tests.fault.conftest import HELLO, MakeSmall, is_answered, recovers
from tests.support.bystander import bystander_on
from tests.support.descriptors import room_for
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.holdings import excess, settled
from tests.support.processes import all_gone_within, children_of, fronts_of, watch, zygotes_of
from tests.support.raw_http import target
from tests.support.server import SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

FUNCTIONS = f"/spaces/{SPACE}/functions"


@pytest.fixture(scope="module")
def single(small_server: MakeSmall) -> Iterator[Server]:
    """One front, so that it is known whose descriptors run out."""
    with small_server(workers=1, queue_seconds=1) as running:
        running.deploy("hello", HELLO, max_instances=1)
        recovers(running, fronts=1)
        yield running


@pytest.mark.parametrize("room", [0, 1, 3, 8])
def test_a_warden_without_descriptors_starts_no_instance_and_then_does(single: Server, room: int) -> None:
    """Slow for the looks at all that the server holds, before and after: each until it stays the same."""
    name = f"needs-one-{room}"
    single.deploy(name, HELLO, max_instances=1)
    before = settled(single)
    with bystander_on(single) as bystander:
        with room_for(single.pid, room):
            answer = single.call(name)
            if answer.status_code != 200:  # a blank cell needs fewer than a new one
                assert_envelope(answer, 503)
                assert int(answer.headers["retry-after"]) >= 0
            bystander.answered_again()
        eventually(lambda: is_answered(single, name), "it is not answered though there is room again")
    for gone in (name, "the-bystander"):
        assert single.client.delete(f"{FUNCTIONS}/{gone}").status_code == 204
    recovers(single, fronts=1)
    assert excess(single, before) == {}


def test_a_front_without_descriptors_goes_on_with_what_it_has(single: Server) -> None:
    (front,) = fronts_of(single.pid)
    before = settled(single)
    kept = KeptAlive(single)
    assert kept.ask("POST", target("hello"), (), b"").body == b"hello"
    with room_for(front, 0):
        for _ in range(20):
            assert kept.ask("POST", target("hello"), (), b"").body == b"hello"
        assert kept.ask("GET", "/healthz", (), b"").status == 200
        # A deploy opens files: whatever is said of it, it is said in the one shape.
        refused = kept.ask("POST", FUNCTIONS, (("Content-Type", "application/json"),), b"{}")
        assert_envelope(refused, refused.status)
        assert not is_answered(single, seconds=0.5), "there was room for a connection"
    assert kept.ask("POST", target("hello"), (), b"").body == b"hello"
    kept.close()
    assert fronts_of(single.pid) == [front]
    recovers(single, fronts=1)
    assert excess(single, before) == {}


@pytest.mark.parametrize("room", [0, 2])
def test_a_lease_that_a_front_has_no_descriptors_for_is_a_503_and_the_next_one_is_served(
    small_server: MakeSmall, room: int
) -> None:
    with small_server(workers=1, queue_seconds=1) as server:
        server.deploy("hello", HELLO, max_instances=1)
        server.deploy("leased", HELLO, max_instances=1)
        recovers(server, fronts=1)
        before = settled(server)
        with room_for(fronts_of(server.pid)[0], room):
            assert_envelope(server.call("leased"), 503)
        eventually(lambda: is_answered(server, "leased"), "its only instance is lost", 5.0)
        assert server.client.delete(f"{FUNCTIONS}/leased").status_code == 204
        assert excess(server, before) == {}


@pytest.mark.parametrize("who", ["arbiter", "zygote"])
def test_a_process_that_dies_while_the_warden_has_no_descriptors_is_replaced_when_it_has(
    small_server: MakeSmall, who: str
) -> None:
    with small_server(workers=1) as server:
        server.deploy("hello", HELLO)
        recovers(server, fronts=1)
        (front,) = fronts_of(server.pid)
        arbiters = [pid for pid in children_of(server.pid) if front in children_of(pid)]
        victims = arbiters if who == "arbiter" else zygotes_of(server.pid)
        told = "the fronts ended" if who == "arbiter" else "zygote"
        with room_for(server.pid, 0):
            watched = watch(victims)
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            assert all_gone_within(watched, 5.0)
            eventually(lambda: "Too many open files" in server.log.rpartition(told)[2], "it was not tried")
        eventually(lambda: zygotes_of(server.pid) and fronts_of(server.pid), f"no {who} again", 5.0)
        recovers(server, fronts=1)
