"""What each function gets, encoded once, and forgotten in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from supervisor.front.functions import space_values
from supervisor.front.functions.space_values import EncodedValues, SpaceValuesTable
from supervisor.store import SpaceValues


class Store:
    """Gives the values that it has now, and counts how often."""

    def __init__(self) -> None:
        self.reads = 0
        self.now = SpaceValues(
            {"A": "for all", "P": "for pay"}, {"V": 1}, {("secret", "P"): frozenset({"pay"})}
        )

    def values(self, space: str) -> SpaceValues:
        self.reads += 1
        return self.now


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def sent(encoded: EncodedValues) -> Any:
    """What the frame carries."""
    return json.loads(encoded.frame[encoded.frame.index(b"{") :])


def test_functions_that_no_list_names_share_one_frame_and_the_store_is_read_once() -> None:
    async def scenario() -> None:
        store = Store()
        table = SpaceValuesTable(store)  # type: ignore[arg-type]
        one, other, pay = [await table.of("s", name) for name in ("one", "other", "pay")]
        assert one is other and one is not pay
        assert one.revision != pay.revision
        assert sent(one) == {"secrets": {"A": "for all"}, "variables": {"V": 1}}
        assert sent(pay) == {"secrets": {"A": "for all", "P": "for pay"}, "variables": {"V": 1}}
        assert store.reads == 1
        assert table.known["s"]["one"] is one

    run(scenario())


def test_a_change_is_a_new_revision_for_every_function() -> None:
    async def scenario() -> None:
        store = Store()
        table = SpaceValuesTable(store)  # type: ignore[arg-type]
        before = await table.of("s", "one")
        table.changed("s")
        assert "s" not in table.known
        store.now = SpaceValues({"A": "changed"}, {})
        after = await table.of("s", "one")
        assert after.revision > before.revision and sent(after)["secrets"] == {"A": "changed"}
        table.deleted("s", "one")
        assert "one" not in table.known["s"]

    run(scenario())


def test_a_change_during_a_read_has_it_read_again() -> None:
    async def scenario() -> None:
        store = Store()
        table = SpaceValuesTable(store)  # type: ignore[arg-type]
        read = store.values

        def changing(space: str) -> SpaceValues:
            found = read(space)
            if store.reads == 1:
                store.now = SpaceValues({"A": "changed"}, {})
                loop.call_soon_threadsafe(table.changed, space)
            return found

        loop = asyncio.get_running_loop()
        store.values = changing  # type: ignore[method-assign]
        assert sent(await table.of("s", "one"))["secrets"] == {"A": "changed"}

    run(scenario())


def test_lists_that_make_many_large_frames_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_values, "FRAMES_MOST_BYTES", 10_000)

    async def scenario() -> None:
        store = Store()
        large = {f"P{number}": "x" * 100 for number in range(20)}
        names = [f"f{number}" for number in range(20)]
        lists = {("secret", f"P{number}"): frozenset(names[number:]) for number in range(20)}
        store.now = SpaceValues(large, {}, lists)
        table = SpaceValuesTable(store)  # type: ignore[arg-type]
        for space in ("greedy", "quiet", "greedy"):
            for name in names[:3] if space == "quiet" else names:
                encoded = await table.of(space, name)
                assert sent(encoded)["secrets"]
        kept = sum(len(one.frame) for of_space in table.known.values() for one in of_space.values())
        assert kept < 60_000 and set(table.known) <= {"greedy", "quiet"}

    run(scenario())


def test_values_show_no_secret() -> None:
    assert "hush" not in repr(EncodedValues(1, {"A": "hush-hush"}, {}))
