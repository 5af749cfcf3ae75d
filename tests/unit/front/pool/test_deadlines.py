"""What is done, and when, with a call whose time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from supervisor.front.outcome.lost_calls import CallLate
from supervisor.front.pool import deadlines
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.deadlines import DUMP, KILL, LOOK, TELL, Deadlines, Step, ladder
from supervisor.front.warden_link import Ending
from supervisor.link_records import InstanceHistory
from tests.support.scripted_cell import Cell, answer, prepared
from worker import wire

WAIT_SECONDS = 10.0


async def wire_frames(cell: Cell) -> list[wire.Frame]:
    """What the front writes next, as the cell reads it."""
    while True:
        try:
            return wire.Decoder(wire.TO_CELL).receive(cell.reads())
        except BlockingIOError:
            await asyncio.sleep(0.001)


def test_an_ordinary_handler_is_told_and_made_to_look_at_once() -> None:
    assert ladder(False, 0.5) == (
        Step(0.0, TELL), Step(0.0, LOOK), Step(0.25, LOOK), Step(0.4, DUMP), Step(0.5, KILL),
    )  # fmt: skip


def test_a_loop_is_told_and_only_one_that_does_not_turn_is_made_to_look() -> None:
    assert ladder(True, 0.5) == (Step(0.0, TELL), Step(0.25, LOOK), Step(0.4, DUMP), Step(0.5, KILL))


@pytest.mark.parametrize("grace", [0.05, 0.1, 1.0, 60.0])
@pytest.mark.parametrize("is_async", [False, True])
def test_the_steps_are_in_order_and_end_with_the_grace(grace: float, is_async: bool) -> None:
    steps = ladder(is_async, grace)
    times = [step.after_s for step in steps]
    assert times == sorted(times)
    assert steps[-1] == Step(grace, KILL)
    assert steps[-2].what == DUMP
    assert 0 < grace - steps[-2].after_s <= deadlines.DUMP_S + 1e-9


def run(calls: list[float], act: Callable[[str, int], bool]) -> list[tuple[str, int]]:
    """Begin calls with these limits; all that was done until ``act`` said True."""
    done: list[tuple[str, int]] = []

    async def scenario() -> None:
        outstanding: dict[int, PendingCall] = {}
        over = asyncio.Event()

        def acted(what: str, number: int, _: PendingCall) -> None:
            done.append((what, number))
            if act(what, number):
                over.set()

        times = Deadlines(outstanding, lambda: ladder(False, 0.02), acted)
        for number, seconds in enumerate(calls, 1):
            outstanding[number] = prepared(seconds)
            times.begin(outstanding[number])
        async with asyncio.timeout(WAIT_SECONDS):
            await over.wait()
        times.stop()

    asyncio.run(scenario())
    return done


def test_a_call_goes_through_every_step() -> None:
    done = run([0.01], lambda what, _: what == KILL)
    assert done == [(TELL, 1), (LOOK, 1), (LOOK, 1), (DUMP, 1), (KILL, 1)]


def test_the_call_with_the_shortest_limit_is_first_whenever_it_began() -> None:
    done = run([WAIT_SECONDS, 0.01, WAIT_SECONDS], lambda what, _: what == KILL)
    assert {number for _, number in done} == {2}


def scenario_of(scenario: Callable[[Cell], object]) -> None:
    """Run it with a cell that has started."""

    async def guarded() -> None:
        cell = Cell()
        cell.instance.continue_from(InstanceHistory(0, 1, 1))
        async with asyncio.timeout(WAIT_SECONDS):
            await scenario(cell)  # type: ignore[misc]
        cell.hangs_up()
        cell.instance.ended(Ending("exited", 9, 0, ""))

    asyncio.run(guarded())


def test_a_call_that_ends_within_the_grace_is_late_and_its_instance_goes_on() -> None:
    async def scenario(cell: Cell) -> None:
        call = cell.call(0.001)
        frames = await wire_frames(cell)
        assert [(frame.kind, frame.call, frame.head) for frame in frames] == [
            (wire.CANCEL, 1, (wire.TIME_IS_UP,))
        ]
        assert cell.warden.signals[0] == "look"
        cell.says(wire.encode(wire.WHERE, 1, ("handler.py:1 in f", 0)))
        cell.says(wire.encode(wire.RAISED, 1, ("CallTimeout", "", 1, "", "", 1, 1, 1)))
        with pytest.raises(CallLate) as caught:
            await call.future
        assert caught.value.where == "handler.py:1 in f"
        assert cell.warden.kills == []
        again = cell.call()
        cell.says(answer(2, b"again"))
        assert (await again.future).body == b"again"

    scenario_of(scenario)


def test_a_caller_that_hangs_up_ends_its_call_the_same_way() -> None:
    async def scenario(cell: Cell) -> None:
        call = cell.call()
        cell.instance.hang_up(call)
        frames = await wire_frames(cell)
        assert [(frame.kind, frame.head) for frame in frames] == [(wire.CANCEL, (wire.CALLER_IS_GONE,))]
        cell.instance.hang_up(call)  # once is enough
        cell.says(wire.encode(wire.RAISED, 1, ("CallCancelled", "", 1, "", "", 1, 1, 1)))
        with pytest.raises(CallLate):
            await call.future

    scenario_of(scenario)


@pytest.mark.parametrize("is_blocking", [0, 1])
def test_a_place_that_nobody_asked_for_costs_the_cell(is_blocking: int) -> None:
    async def scenario(cell: Cell) -> None:
        cell.call()
        cell.says(wire.encode(wire.WHERE, 1, ("x", is_blocking)))
        await cell.warden.has_killed.wait()
        assert cell.warden.kills == [("cell-1", "protocol")]

    scenario_of(scenario)


def test_a_place_is_told_once() -> None:
    async def scenario(cell: Cell) -> None:
        cell.call(0.001)
        await wire_frames(cell)
        cell.says(wire.encode(wire.WHERE, 1, ("x", 0)) * 2)
        await cell.warden.has_killed.wait()
        assert cell.warden.kills == [("cell-1", "protocol")]

    scenario_of(scenario)
