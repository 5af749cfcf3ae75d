"""Following logs over real connections: what comes, from where it goes on, who loses and who is let go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.logs.conftest import TALK
from tests.support.descriptors import places_in
from tests.support.eventually import eventually
from tests.support.processes import fronts_of
from tests.support.server import SPACE, Server
from tests.support.tailer import Event, Tailer, texts

SLOW_CALLS = 12
SLOW_LINES = 100
LINE_BYTES = 10_000
FOLLOWERS = 500
NDJSON = "application/x-ndjson"


def two_fronts(server: Server, **query: Any) -> tuple[Tailer, Tailer]:
    """Followers of talk at two fronts, both up to date."""
    first = Tailer(server, "talk", follow=True, tail=0, **query)
    first.until_live()
    for _ in range(200):
        other = Tailer(server, "talk", follow=True, tail=0, **query)
        if other.front != first.front:
            other.until_live()
            return first, other
        other.close()
    raise AssertionError("all connections went to one front")


@pytest.mark.promise("S71")
def test_what_is_written_reaches_followers_at_both_fronts_in_order_once(talking: Server) -> None:
    first, other = two_fronts(talking)
    with first, other:
        for number in range(20):
            talking.call("talk", content=f"both {number}")
        for tailer in (first, other):
            assert texts(tailer.until_text("both 19")) == [f"both {number}" for number in range(20)]


def test_a_follower_gets_what_there_was_and_then_what_comes_in_either_form(talking: Server) -> None:
    for accept in ("text/event-stream", NDJSON):
        for number in range(3):
            talking.call("talk", content=f"was {number}")
        eventually(lambda: "was 2" in talking.client.get(f"/spaces/{SPACE}/logs?tail=1&q=was").text)
        with (
            Tailer(talking, "talk", accept=accept, follow=True, tail=2, q="was ") as tail,
            Tailer(talking, None, accept=accept, follow=True, since="10m", q="was ") as since,
        ):
            assert tail.answer.headers["content-type"] == accept
            assert texts(tail.until_live()) == ["was 1", "was 2"]
            assert texts(since.until_live())[:3] == ["was 0", "was 1", "was 2"]
            talking.call("talk", content="not this")
            talking.call("talk", content="was 3")
            for tailer in (tail, since):
                assert texts(tailer.until_text("was 3")) == ["was 3"]


@pytest.mark.promise("S72")
def test_whoever_comes_again_with_its_last_id_loses_nothing_and_gets_nothing_twice(talking: Server) -> None:
    got: list[str] = []
    last_id = ""
    fronts = set()
    for part in range(6):
        with Tailer(talking, "talk", follow=True, tail=0, last_id=last_id, q="resumed") as tailer:
            fronts.add(tailer.front)
            if not last_id:
                last_id = tailer.until_live()[-1].id
            talking.call("talk", f"/many/10?mark=resumed-{part}-")
            # It leaves in the midst of them.
            found = tailer.until_text(f"resumed-{part}-6")
            got += texts(found)
            last_id = found[-1].id
    with Tailer(talking, "talk", follow=True, last_id=last_id, q="resumed") as tailer:
        got += texts(tailer.until_text("resumed-5-9"))
    assert got == [f"resumed-{part}-{number}" for part in range(6) for number in range(10)]


@pytest.mark.promise("S73")
def test_a_follower_who_does_not_read_loses_with_a_counted_gap_and_slows_nobody(talking: Server) -> None:
    sent = SLOW_CALLS * SLOW_LINES
    with (
        Tailer(talking, "talk", follow=True, tail=0, q="slow", receive_bytes=32_768) as slow,
        Tailer(talking, "talk", follow=True, tail=0, q="slow") as quick,
    ):
        slow.until_live()
        quick.until_live()
        for number in range(SLOW_CALLS):
            path = f"/many/{SLOW_LINES}?size={LINE_BYTES}&mark=slow-{number}-"
            assert talking.call("talk", path).status_code == 200
            last = f"slow-{number}-{SLOW_LINES - 1}".ljust(LINE_BYTES, ".")
            assert len(texts(quick.until_text(last))) == SLOW_LINES
        slow.widen()
        events = slow.until(lambda event: event.kind == "gap")
        assert events[-1].data["reason"] == "slow"
        talking.call("talk", content="slow no more")
        # Gaps and entries together are all that there was.
        events += slow.until_text("slow no more")
        lost = sum(event.data["count"] for event in events if event.kind == "gap")
        assert 0 < lost < sent
        assert len(texts(events)) - 1 + lost == sent


@pytest.mark.needs_root  # looks into processes of the server that are not dumpable
@pytest.mark.promise("S74")
def test_hundreds_of_followers_all_get_a_line_and_are_let_go_when_they_leave(talking: Server) -> None:
    with contextlib.ExitStack() as stack:
        tailers = [
            stack.enter_context(Tailer(talking, "talk", follow=True, tail=0)) for _ in range(FOLLOWERS)
        ]
        for tailer in tailers:
            tailer.until_live()
        talking.call("talk", content="to all of you")
        for tailer in tailers:
            assert texts(tailer.until_text("to all of you")) == ["to all of you"]
    eventually(lambda: sockets_of(talking) < 50)


def sockets_of(server: Server) -> int:
    """Descriptors of the fronts that are sockets."""
    return sum(
        place.startswith("socket:") for pid in fronts_of(server.pid) for place in places_in(pid).values()
    )


def test_the_followers_of_a_deleted_function_are_told_and_a_deploy_is_no_deletion(talking: Server) -> None:
    talking.deploy("goes", TALK)
    with (
        Tailer(talking, "goes", follow=True, tail=0) as tailer,
        Tailer(talking, "talk", follow=True) as other,
    ):
        tailer.until_live()
        other.until_live()
        talking.deploy("goes", TALK + "\n")
        talking.call("goes", content="version 2")
        assert tailer.until_text("version 2")[-1].data["version"] == 2
        assert talking.client.delete(f"/spaces/{SPACE}/functions/goes").status_code == 204
        assert tailer.to_the_end()[-1][::2] == ("end", {"reason": "deleted"})
        talking.call("talk", content="others go on")
        other.until_text("others go on")


def test_only_who_may_read_a_space_may_follow_it(talking: Server) -> None:
    for token in ("nobody", "another-token-of-16"):
        headers = {"Authorization": f"Bearer {token}"}
        answer = talking.client.get(f"/spaces/{SPACE}/functions/talk/logs?follow=1", headers=headers)
        assert answer.status_code == 401 and "talk" not in answer.text


@pytest.mark.promise("S75")
def test_followers_end_with_the_server_which_does_not_wait_for_them(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(drain_seconds=100)
    server.deploy("talk", TALK)
    with (
        Tailer(server, "talk", follow=True) as sse,
        Tailer(server, None, accept=NDJSON, follow=True) as plain,
    ):
        sse.until_live()
        plain.until_live()
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 35
        assert sse.to_the_end()[-1][::2] == ("end", {"reason": "draining"})
        assert plain.to_the_end()[-1] == Event("end", "", {"reason": "draining"})
