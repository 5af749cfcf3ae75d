"""One instance as its front holds it: whatever the cell does, each call ends once and the front goes on.

The pipes are real; only the warden is a script, because these interleavings cannot be had on request.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.outcome.lost_calls import CallLost, StartFailed
from supervisor.front.pool.cell import inbox
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Ending
from supervisor.link_records import InstanceHistory
from tests.support.scripted_cell import Cell, answer, ready
from tests.support.wire_frames import any_bytes
from worker import wire

WAIT_SECONDS = 10.0
KILLED = Ending("exited", 9, 0, "")


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run it on a loop where an exception that reaches the loop fails the test."""
    escaped: list[dict[str, Any]] = []
    before = set(os.listdir("/proc/self/fd"))

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
        async with asyncio.timeout(WAIT_SECONDS):
            await scenario()

    asyncio.run(guarded())
    assert escaped == []
    assert set(os.listdir("/proc/self/fd")) == before, "descriptors were left"


def started(cell: Cell) -> None:
    """As if it had said READY to another front."""
    cell.instance.continue_from(InstanceHistory(0, 1, 1))


async def turns(count: int = 10) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def ended(cell: Cell) -> None:
    """The warden's word that the cell was reaped; harmless when the instance is gone already."""
    cell.hangs_up()
    cell.instance.ended(KILLED)


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(any_bytes(), st.integers(0, 3), st.booleans())
def test_any_bytes_of_a_cell_end_every_call_exactly_once(data: bytes, calls: int, is_started: bool) -> None:
    async def scenario() -> None:
        cell = Cell()
        cell.instance.capacity = 3
        if is_started:
            started(cell)
        waiting = [cell.call() for _ in range(calls)]
        for start in range(0, len(data), 4096):
            cell.says(data[start : start + 4096])
            await turns(3)
        ended(cell)
        assert cell.gone == [cell.instance] and cell.instance.is_gone
        await turns()  # how a call ended is told in the loop's next turn
        for call in waiting:
            assert call.future.done()
            if call.future.exception() is None:
                assert isinstance(call.future.result(), wire.Frame)
            else:
                assert isinstance(call.future.exception(), CallLost)

    logging.disable(logging.CRITICAL)
    try:
        run(scenario)
    finally:
        logging.disable(logging.NOTSET)


def test_a_cell_that_breaks_the_protocol_right_after_ready_never_serves() -> None:
    async def scenario() -> None:
        cell = Cell()
        starting = asyncio.ensure_future(cell.instance.start(b"", WAIT_SECONDS))
        await turns(3)
        cell.says(ready())
        cell.instance._inbox.read()  # READY is heard, but whoever waits for it has not run yet
        cell.says(b"\xff" * 20)
        cell.instance._inbox.read()
        with pytest.raises(StartFailed) as caught:
            await starting
        assert caught.value.ending is not None and caught.value.ending.cause == "protocol"
        assert cell.warden.kills == [("cell-1", "protocol")]
        cell.hangs_up()

    run(scenario)


def test_a_cell_that_dies_right_after_ready_never_serves() -> None:
    async def scenario() -> None:
        cell = Cell()
        starting = asyncio.ensure_future(cell.instance.start(b"", WAIT_SECONDS))
        await turns(3)
        cell.says(ready())
        cell.instance._inbox.read()
        ended(cell)
        with pytest.raises(StartFailed) as caught:
            await starting
        assert caught.value.ending == KILLED

    run(scenario)


def test_a_cell_that_checks_a_bundle_may_leave_before_its_word_is_read() -> None:
    async def scenario() -> None:
        cell = Cell()
        starting = asyncio.ensure_future(cell.instance.start(b"", WAIT_SECONDS))
        await turns(3)
        cell.says(wire.encode(wire.CHECKED, 0, (1, "", 0, "handle")))
        cell.instance._inbox.read()
        ended(cell)
        assert (await starting).head == (1, "", 0, "handle")

    run(scenario)


@pytest.mark.parametrize("is_dead", [True, False], ids=["dead", "dying"])
def test_a_call_sent_to_an_instance_that_is_at_its_end_is_lost_at_once_and_no_culprit(is_dead: bool) -> None:
    async def scenario() -> None:
        cell = Cell()
        started(cell)
        if is_dead:
            ended(cell)
        else:
            cell.instance.kill("released")
        assert cell.instance.is_ending
        call = cell.call()
        with pytest.raises(CallLost) as caught:
            await call.future
        assert not caught.value.is_culprit
        ended(cell)

    run(scenario)


def hand_back_when_free(instance: Instance, seconds: float) -> None:
    """What a pool does that another front asked for an instance."""
    if instance.is_idle:
        instance.give_back(is_async=False)


def test_an_instance_with_an_unread_frame_is_not_handed_to_another_front() -> None:
    async def scenario() -> None:
        cell = Cell(hand_back_when_free)
        started(cell)
        call = cell.call()
        cell.says(answer(1, b"own") + answer(1, b"forged"))
        with pytest.raises(CallLost):
            await call.future
        assert cell.warden.returned == []
        assert cell.warden.kills == [("cell-1", "protocol")]
        cell.hangs_up()

    run(scenario)


def test_an_instance_that_is_handed_on_is_not_read_again() -> None:
    async def scenario() -> None:
        cell = Cell(hand_back_when_free)
        started(cell)
        call = cell.call()
        # The answer ends exactly where a read ends, so the reader cannot tell that there is no more.
        overhead = len(answer(1, b"x" * 70_000)) - 70_000
        cell.says(answer(1, b"x" * (inbox.READ_BYTES - overhead)))
        assert len((await call.future).body) == inbox.READ_BYTES - overhead
        await turns(3)
        assert cell.warden.returned == [("cell-1", InstanceHistory(is_async=0, next_call=2, served=2))]
        assert cell.warden.kills == []
        cell.hangs_up()

    run(scenario)


def test_the_last_lines_of_a_cell_and_what_was_dropped_of_them_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cellblock.function")

    async def scenario() -> None:
        cell = Cell(log_lines=2)
        started(cell)
        call = cell.call()
        os.write(cell.stderr, b"1\n2\n3\n4\nopen")
        cell.instance.kill("timeout")
        ended(cell)
        with pytest.raises(CallLost):
            await call.future

    run(scenario)
    assert [record.getMessage() for record in caplog.records if record.name == "cellblock.function"] == [
        "demo/f cell-1 call-id stderr: 1",
        "demo/f cell-1 call-id stderr: 2",
        "demo/f cell-1 call-id: 3 log lines were dropped: the call's limit is 2 lines, 1000 bytes",
    ]


def test_a_line_without_an_end_is_told_when_the_cell_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cellblock.function")

    async def scenario() -> None:
        cell = Cell()
        started(cell)
        call = cell.call()
        os.write(cell.stdout, b"half a li")
        cell.instance.violated("test")  # the cell may still hold its pipes
        with pytest.raises(CallLost):
            await call.future
        cell.hangs_up()

    run(scenario)
    assert "demo/f cell-1 call-id stdout: half a li" in [record.getMessage() for record in caplog.records]


def test_of_several_calls_only_the_one_whose_time_was_up_is_the_culprit() -> None:
    async def scenario() -> None:
        cell = Cell()
        cell.instance.capacity = 3
        started(cell)
        long, short = cell.call(30.0), cell.call(0.001)
        await cell.warden.has_killed.wait()
        ended(cell)
        assert cell.warden.kills == [("cell-1", "timeout")]
        await turns()
        lost = [call.future.exception() for call in (long, short)]
        assert [error.is_culprit for error in lost if isinstance(error, CallLost)] == [False, True]

    run(scenario)


def test_what_a_cell_says_last_is_heard_though_its_end_is_told_first() -> None:
    async def scenario() -> None:
        checked = Cell()
        waits = asyncio.ensure_future(checked.instance.start(b"", WAIT_SECONDS))
        await turns()
        checked.says(wire.encode(wire.CHECKED, 0, (1, "", 0, "handle")))
        ended(checked)
        assert (await waits).kind == wire.CHECKED
        answering = Cell()
        started(answering)
        call = answering.call()
        answering.says(answer(1))
        ended(answering)
        assert (await call.future).kind == wire.ANSWER

    run(scenario)
