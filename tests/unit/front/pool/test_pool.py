"""A pool whose instances die at the worst moment: no call waits for a cell that is gone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.errors import PlatformError
from supervisor.front.outcome.lost_calls import MOVES_MOST, CallLost, StartFailed
from supervisor.front.pool import import_waits
from supervisor.front.pool.growth import GROW_AFTER_S
from supervisor.front.pool.lease_request import lease_request
from supervisor.front.pool.pool import Pool, Retired
from supervisor.front.warden_link import Ending, Lease
from supervisor.function_limits import Limits
from tests.support.scripted_cell import Ends, ScriptedWarden, answer, identity, prepared
from worker import wire

WAIT_SECONDS = 10.0
KILLED = Ending("exited", 9, 0, "")


class Warden(ScriptedWarden):
    """Leases cells that a test then speaks for."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: asyncio.Queue[Ends] = asyncio.Queue()
        self.leased = 0
        self._all: list[Ends] = []

    async def lease(self, request: Any) -> Lease:
        """As WardenLink.lease."""
        self.leased += 1
        ends = Ends()
        self._all.append(ends)
        self.cells.put_nowait(ends)
        return Lease(f"cell-{self.leased}", None, ends.ours)

    def hang_up(self) -> None:
        """Every cell is gone."""
        for ends in self._all:
            ends.hangs_up()


@asynccontextmanager
async def pool(**limits: Any) -> AsyncIterator[tuple[Pool, Warden]]:
    """A pool and its warden; nothing is left of either."""
    warden = Warden()
    request = lease_request("demo", "f", 1, "ab" * 32, "python3.11", Limits(**limits))

    async def values_of() -> Any:
        return SimpleNamespace(revision=1, frame=b"", masker=None)

    made = Pool(
        identity(), Limits(**limits), request, warden, values_of, lambda values: b"",  # type: ignore[arg-type]
        queue_seconds=WAIT_SECONDS, queue_depth=10, init_seconds=WAIT_SECONDS,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_SECONDS):
        yield made, warden
    warden.hang_up()
    for instance in list(made.instances):
        instance.ended(KILLED)
    assert made.instances == set()


def ready(is_async: int = 0) -> bytes:
    """READY."""
    return wire.encode(wire.READY, 0, (is_async, 1, "handle", "3.11"))


async def turns(count: int = 20) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def started(pool: Pool, warden: Warden) -> Ends:
    """The next cell, once the pool listens to it."""
    ends = await warden.cells.get()
    await turns()
    return ends


def test_a_call_is_answered_by_the_instance_that_was_started_for_it() -> None:
    async def scenario() -> None:
        async with pool() as (made, warden):
            call = prepared()
            made.submit(call)
            ends = await started(made, warden)
            ends.says(ready())
            await turns()
            ends.says(answer(1, b"x"))
            assert (await call.future).body == b"x"

    asyncio.run(scenario())


@pytest.mark.parametrize("lie", [b"\xff" * 20, None], ids=["protocol", "death"])
def test_no_call_waits_for_an_instance_that_ended_right_after_ready(lie: bytes | None) -> None:
    # It once did, for ever: the pool listed the instance after it was gone.
    async def scenario() -> None:
        async with pool() as (made, warden):
            call = prepared()
            made.submit(call)
            ends = await started(made, warden)
            (instance,) = made.instances
            ends.says(ready())
            instance._inbox.read()  # READY is heard; the task that waits for it has not run yet
            if lie is None:
                ends.hangs_up()
                instance.ended(KILLED)
            else:
                ends.says(lie)
                instance._inbox.read()
            with pytest.raises(StartFailed):
                await call.future
            again = prepared()
            made.submit(again)
            ends = await started(made, warden)
            ends.says(ready())
            await turns()
            ends.says(answer(1, b"right"))
            assert (await again.future).body == b"right"

    asyncio.run(scenario())


def test_no_call_is_sent_to_an_instance_that_is_being_killed() -> None:
    async def scenario() -> None:
        async with pool(concurrency=5) as (made, warden):
            first = prepared()
            made.submit(first)
            ends = await started(made, warden)
            ends.says(ready(is_async=1))
            await turns()
            os.read(ends.requests, 1 << 16)  # the cell has begun the call
            (instance,) = made.instances
            instance.kill("timeout")  # the warden has not confirmed it yet
            second = prepared()
            made.submit(second)
            await turns()
            assert instance.load == 1 and not second.future.done()
            ends.hangs_up()
            instance.ended(KILLED)
            with pytest.raises(CallLost):
                await first.future
            ends = await started(made, warden)
            ends.says(ready(is_async=1))
            await turns()
            ends.says(answer(1, b"right"))
            assert (await second.future).body == b"right"

    asyncio.run(scenario())


def test_a_call_that_its_instance_never_read_is_answered_by_another_one() -> None:
    async def scenario() -> None:
        async with pool() as (made, warden):
            call = prepared()
            made.submit(call)
            for _ in range(2):
                ends = await started(made, warden)
                ends.says(ready())
                await turns()
                (instance,) = made.instances
                assert instance.load == 1
                ends.hangs_up()
                instance.ended(KILLED)
            ends = await started(made, warden)
            ends.says(ready())
            await turns()
            ends.says(answer(1, b"third"))
            assert (await call.future).body == b"third"

    asyncio.run(scenario())


def test_a_call_moves_a_few_times_and_is_then_lost_with_the_last() -> None:
    async def scenario() -> None:
        async with pool() as (made, warden):
            call = prepared()
            made.submit(call)
            for _ in range(1 + MOVES_MOST):
                ends = await started(made, warden)
                ends.says(ready())
                await turns()
                (instance,) = made.instances
                ends.hangs_up()
                instance.ended(KILLED)
            with pytest.raises(CallLost):
                await call.future

    asyncio.run(scenario())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that ``perf_counter`` says, in a list of one; the loop's own clock goes on as ever."""
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


async def grown(made: Pool) -> None:
    """Once the pool has looked at who waits."""
    await asyncio.sleep(3 * GROW_AFTER_S)
    await turns()


def test_a_call_that_waits_for_an_import_is_not_ended_by_the_queues_limit_and_those_are_bounded(
    clock: list[float],
) -> None:
    async def scenario() -> None:
        async with pool(max_instances=1) as (made, warden):
            made.init_seconds = 5 * WAIT_SECONDS
            calls = [prepared() for _ in range(12)]
            for call in calls:
                made.submit(call)
            await turns()
            for call in calls[10:]:  # the queue's depth
                with pytest.raises(PlatformError, match="queue is full"):
                    await call.future
            ends = await started(made, warden)
            clock[0] += 4 * WAIT_SECONDS
            await grown(made)
            assert not any(call.future.done() for call in calls[:10])
            ends.says(ready())
            await turns()
            # The import is over: now the queue's limit counts, of which nothing is used up.
            clock[0] += 0.9 * WAIT_SECONDS
            await grown(made)
            assert made.waiting == 9
            clock[0] += 0.2 * WAIT_SECONDS
            await grown(made)
            for call in calls[1:10]:
                with pytest.raises(PlatformError, match="stayed busy"):
                    await call.future
            ends.says(answer(1, b"x"))
            assert (await calls[0].future).body == b"x"

    asyncio.run(scenario())


def test_a_wait_for_an_import_has_an_end_whatever_other_imports_come(clock: list[float]) -> None:
    async def scenario() -> None:
        async with pool(max_instances=2) as (made, warden):
            busy, call = prepared(), prepared()
            made.submit(busy)
            ends = await started(made, warden)
            ends.says(ready())
            await turns()
            made.submit(call)
            clock[0] += 2 * GROW_AFTER_S
            await started(made, warden)
            assert len(made._imports.running) == 1
            clock[0] += WAIT_SECONDS + made.init_seconds
            await grown(made)
            assert not call.future.done()
            clock[0] += import_waits.SLACK_S
            await grown(made)
            with pytest.raises(PlatformError, match="stayed busy"):
                await call.future
            ends.says(answer(1, b"x"))
            await busy.future

    asyncio.run(scenario())


def test_starts_that_fail_together_count_once_and_what_failed_is_told() -> None:
    async def scenario() -> None:
        async with pool() as (made, warden):
            calls = [prepared() for _ in range(6)]
            for call in calls:
                made.submit(call)
            await grown(made)
            all_ends = [await started(made, warden) for _ in calls]
            for ends in all_ends:
                ends.says(wire.encode(wire.FAILED, 0, ("import", "KeyError", "'x'", 3, "", "")))
            await turns()
            for call in calls:
                with pytest.raises(StartFailed):
                    await call.future
            assert made._failed_starts.in_a_row == 1
            assert {(state, reason) for _, state, reason in warden.starts} == {
                ("failed", "KeyError at line 3: 'x'")
            }

    asyncio.run(scenario())


def test_a_version_that_is_replaced_imports_no_further() -> None:
    async def scenario() -> None:
        async with pool() as (made, warden):
            call = prepared()
            made.submit(call)
            await started(made, warden)
            made.retire()
            await turns()
            assert [cause for _, cause in warden.kills] == ["released"]
            with pytest.raises(Retired):
                await call.future
            for instance in list(made.instances):
                instance.ended(KILLED)
            await turns()
            assert warden.starts == [], "it is no failure of the function's"

    asyncio.run(scenario())


def test_nobody_waits_for_an_instance_that_has_its_last_words() -> None:
    async def scenario() -> None:
        async with pool(max_instances=1) as (made, warden):
            first = prepared()
            made.submit(first)
            cell = await started(made, warden)
            cell.says(ready())
            await turns()
            cell.says(answer(1))
            await first.future
            (instance,) = made.instances
            loop, number = asyncio.get_running_loop(), instance._outbox.descriptor
            made.make_way(instance, "recycled")
            # The number of the pipe that it does not have any more is another's by now.
            other = os.dup(cell.stdout)
            if other != number:
                os.dup2(other, number)
                os.close(other)
            loop.add_writer(number, lambda: None)
            # It has read the end of its requests, and may write still.
            assert (warden.left, warden.kills) == ([("cell-1", "recycled")], [])
            assert os.read(cell.requests, 1 << 20).endswith(first.body) and not os.read(cell.requests, 1)
            second = prepared()
            made.submit(second)
            after = await started(made, warden)
            after.says(ready())
            await turns()
            after.says(answer(1))
            await second.future
            assert made.leaving == {instance}
            # Whoever needs its cell has it at once, and once.
            assert (made.hurry(2), made.hurry(2)) == (1, 0)
            assert warden.kills == [("cell-1", "recycled")]
            instance.ended(KILLED)
            assert not made.leaving
            assert loop.remove_writer(number)
            os.close(number)

    asyncio.run(scenario())
