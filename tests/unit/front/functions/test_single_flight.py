"""One load at a time, and never one that has ended."""

from __future__ import annotations

import asyncio

import pytest

from supervisor.front.functions.single_flight import SingleFlight


def test_who_asks_while_a_load_runs_waits_for_it_and_starts_none() -> None:
    async def scenario() -> int:
        flights, loads, may_end = SingleFlight[str](), 0, asyncio.Event()

        async def load() -> None:
            nonlocal loads
            loads += 1
            await may_end.wait()

        asking = [asyncio.create_task(flights.of("x", load)) for _ in range(5)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in asking)
        may_end.set()
        await asyncio.gather(*asking)
        return loads

    assert asyncio.run(scenario()) == 1


def test_who_asks_in_the_turn_in_which_a_load_ends_has_a_new_one() -> None:
    async def scenario() -> int:
        flights, loads = SingleFlight[str](), 0
        later: list[asyncio.Task[None]] = []

        async def load() -> None:
            nonlocal loads
            loads += 1
            if loads == 1:
                # Its first step is in the queue before anything that follows the end of this load.
                later.append(asyncio.create_task(flights.of("x", load)))

        await flights.of("x", load)
        await asyncio.gather(*later)
        return loads

    assert asyncio.run(scenario()) == 2


def test_a_load_that_fails_fails_for_those_who_waited_and_the_next_begins_anew() -> None:
    async def scenario() -> None:
        flights = SingleFlight[str]()

        async def fails() -> None:
            raise OSError("the store is gone")

        async def works() -> None:
            pass

        for _ in range(2):
            with pytest.raises(OSError, match="the store is gone"):
                await flights.of("x", fails)
        await flights.of("x", works)

    asyncio.run(scenario())


def test_a_caller_that_leaves_takes_nobody_with_it() -> None:
    async def scenario() -> None:
        flights, may_end = SingleFlight[str](), asyncio.Event()

        async def load() -> None:
            await may_end.wait()

        first = asyncio.create_task(flights.of("x", load))
        second = asyncio.create_task(flights.of("x", load))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert first.cancelled() and not second.done()
        may_end.set()
        await second

    asyncio.run(scenario())
