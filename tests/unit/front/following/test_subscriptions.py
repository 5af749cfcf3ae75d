"""Places of followers: how many there are, what each holds, what it says of the rest."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from supervisor.errors import PlatformError
from supervisor.front.following import subscriptions as module
from supervisor.front.following.follower_thread import FollowRequest
from supervisor.front.following.log_formats import Piece
from supervisor.front.following.subscriptions import Subscription, Subscriptions
from supervisor.logs import Query

WANTED = FollowRequest("test", "talk", Query(), "ndjson")


async def opened(root: Path, count: int = 1) -> tuple[Subscriptions, list[Subscription]]:
    tails = Subscriptions(root)
    return tails, [tails.open(WANTED, None) for _ in range(count)]


def test_a_space_and_a_front_have_so_many_followers_and_a_place_that_is_left_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLLOWERS_OF_SPACE_MAX", 2)
    monkeypatch.setattr(module, "FOLLOWERS_MAX", 3)

    async def run() -> list[int]:
        tails, (first, _) = await opened(tmp_path, 2)
        other = WANTED._replace(space="other")
        found = []

        def refused(wanted: FollowRequest) -> None:
            with pytest.raises(PlatformError) as caught:
                tails.open(wanted, None)
            assert int(caught.value.headers["Retry-After"]) > 0
            found.append(caught.value.status)

        refused(WANTED)
        tails.open(other, None)
        refused(other)
        tails.close(first)
        tails.close(first)  # twice is once
        tails.open(WANTED, None)
        refused(WANTED)
        tails.drain()
        refused(other._replace(space="third"))
        return found

    assert asyncio.run(run()) == [429, 503, 429, 503]


def test_what_does_not_fit_is_dropped_until_all_was_taken_and_then_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SUBSCRIPTION_MAX_BYTES", 10)

    async def run() -> None:
        tails, (place,) = await opened(tmp_path)
        place.put([Piece(b"a" * 8, 2, "1"), Piece(b"b" * 8, 3, "2"), Piece(b"c" * 8, 5, "3")])
        place.put([Piece(b"d", 7, "4")])
        assert place.size == tails.size == 16
        assert await place.take() == b"a" * 8 + b"b" * 8
        assert json.loads(await place.take()) == {"event": "gap", "count": 12, "reason": "slow"}
        assert place.cursor == "4"
        place.put([Piece(b"e", 1, "5")])
        assert await place.take() == b"e"
        # What was read for this one alone is never dropped.
        place.put([Piece(b"f" * 20, 1, "6"), Piece(b"g" * 20, 1, "7")], is_own=True)
        assert len(await place.take()) == 40
        place.put([Piece(b"h" * 9, 1, "8")])
        tails.close(place)
        assert tails.size == 0 and len(tails) == 0
        place.end("deleted")
        assert await place.take() == b""

    asyncio.run(run())


def test_all_places_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALL_MAX_BYTES", 10)

    async def run() -> None:
        tails, places = await opened(tmp_path, 3)
        for place in places:
            place.put([Piece(b"a" * 8, 1, "1")])
        assert [place.lost for place in places] == [0, 0, 1]
        assert tails.size == 16

    asyncio.run(run())


def test_a_silent_connection_is_kept_alive_with_where_it_stands(tmp_path: Path) -> None:
    async def run() -> None:
        _, (place,) = await opened(tmp_path)
        place.put([Piece(b"a", 1, "1.0")])
        await place.take()
        waiting = asyncio.create_task(place.take())
        await asyncio.sleep(0)
        place.look(place.active_at + module.KEEP_ALIVE_S - 1)
        await asyncio.sleep(0)
        assert not waiting.done()
        place.look(place.active_at + module.KEEP_ALIVE_S)
        assert json.loads(await waiting) == {"event": "position", "cursor": "1.0"}

    asyncio.run(run())
