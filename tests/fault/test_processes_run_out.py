"""EAGAIN on fork and clone: in the zygote, in pid 1 of a cell, in gunicorn and in the warden."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator

import pytest

from tests.fault.conftest import HELLO, MakeSmall, is_answered, recovers
from tests.support.bystander import bystander_on
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.holdings import excess, settled
from tests.support.pids_group import PidsGroup, pids_group
from tests.support.processes import all_gone_within, children_of, fronts_of, watch
from tests.support.server import SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

FUNCTIONS = f"/spaces/{SPACE}/functions"


@pytest.fixture(scope="module")
def group() -> Iterator[PidsGroup]:
    with pids_group() as made:
        yield made


@pytest.fixture(scope="module")
def crowded(group: PidsGroup, small_server: MakeSmall) -> Iterator[Server]:
    """No blank cell is kept: whatever needs one makes the zygote clone."""
    with small_server(blank_cells=0, queue_seconds=2, wrap=group.wrap) as running:
        running.deploy("hello", HELLO, max_instances=1)
        recovers(running)
        yield running


@pytest.mark.parametrize("room", [0, 1], ids=["the-zygote-clones", "pid-1-forks"])
def test_a_cell_for_which_there_is_no_process_is_a_503_and_the_next_one_is_made(
    crowded: Server, group: PidsGroup, room: int
) -> None:
    crowded.deploy("fresh", HELLO)
    with bystander_on(crowded) as bystander:
        before = settled(crowded)
        with group.room_for(room):
            answer = crowded.call("fresh")
            assert_envelope(answer, 503)
            assert int(answer.headers["retry-after"]) >= 0
            bystander.answered_again()
        assert excess(crowded, before) == {}
        eventually(lambda: is_answered(crowded, "fresh"), "it is not made though there is room again")
    for gone in ("fresh", "the-bystander"):
        assert crowded.client.delete(f"{FUNCTIONS}/{gone}").status_code == 204
    recovers(crowded)


def test_a_deploy_that_cannot_be_checked_is_a_503_and_changes_nothing(
    crowded: Server, group: PidsGroup
) -> None:
    before = settled(crowded)
    with group.room_for(0):
        code = base64.b64encode(HELLO.replace("hello", "changed").encode()).decode()
        answer = crowded.client.put(f"{FUNCTIONS}/hello", json={"source": {"code": code}})
        assert_envelope(answer, 503)
        assert crowded.call("hello").text == "hello"
    recovers(crowded)
    assert excess(crowded, before) == {}


def test_a_front_that_dies_when_no_process_can_be_made_is_replaced_when_one_can(
    crowded: Server, group: PidsGroup
) -> None:
    before = settled(crowded)
    killed = fronts_of(crowded.pid)[0]
    with group.room_for(1):  # nothing else would start one
        watched = watch([killed])
        os.kill(killed, signal.SIGKILL)
        assert all_gone_within(watched, 5.0)
        eventually(lambda: is_answered(crowded), "the other front does not answer")
    recovers(crowded)
    assert excess(crowded, before) == {}


def _was_tried(server: Server) -> bool:
    """Whether the warden has said that it could not start gunicorn."""
    told = server.log.rpartition("the fronts ended")[2]
    return "cannot be started" in told and "Resource temporarily unavailable" in told


def test_gunicorn_that_dies_while_nothing_can_be_forked_is_replaced_when_something_can(
    small_server: MakeSmall,
) -> None:
    with pids_group("other") as group, small_server(wrap=group.wrap) as server:
        server.deploy("hello", HELLO)
        recovers(server)
        (front, _) = fronts_of(server.pid)
        (arbiter,) = (pid for pid in children_of(server.pid) if front in children_of(pid))
        with group.room_for(0):
            watched = watch([arbiter])
            os.kill(arbiter, signal.SIGKILL)
            assert all_gone_within(watched, 5.0)
            eventually(lambda: _was_tried(server), "it was not tried")
        eventually(lambda: fronts_of(server.pid), "gunicorn is not started again", 5.0)
        recovers(server)
