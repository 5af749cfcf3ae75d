"""What a cell may say on its reply pipe, and when: any other byte ends it, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest

from supervisor.front.outcome.lost_calls import CallLost, StartFailed
from supervisor.front.pool.cell.inbox import Inbox
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.instance import Instance
from supervisor.front.warden_link import Ending
from tests.support.scripted_cell import Cell, answer, prepared, ready
from tests.unit.front.pool.test_instance import ended, run, started, turns
from worker import wire

RELEASED = Ending("released", 9, 0, "")
MIB = 1 << 20
EVERY_CALL = range(1 << 32)
VIOLATED = [("cell-1", "protocol")]
HEAD = wire.encode(wire.ANSWER, 1, (200, 1, 0, 0))[wire.PREFIX.size :]
WHERE = wire.encode(wire.WHERE, 1, ("handler.py:1", 0))


def begun(call: int, body_bytes: int = MIB) -> bytes:
    """An answer without its body."""
    return wire.PREFIX.pack(wire.ANSWER, call, len(HEAD), body_bytes) + HEAD


@pytest.mark.promise("T64")
@pytest.mark.parametrize("served", [0, 1])
@pytest.mark.parametrize(
    "said",
    [*(bytes([byte]) for byte in range(256)), begun(1), begun(2)[:13], begun(0), answer(1), answer(2), WHERE,
     ready()[:1], ready()],
    ids=lambda said: said[:14].hex(),
)  # fmt: skip
def test_any_byte_of_an_idle_cell_ends_it(said: bytes, served: int) -> None:
    async def scenario() -> None:
        cell = Cell()
        started(cell)
        for number in range(1, served + 1):
            call = cell.call()
            cell.says(answer(number))
            await call.future
        cell.says(said)
        await turns(3)
        assert cell.warden.kills == VIOLATED
        assert cell.instance.is_gone
        cell.hangs_up()

    run(scenario)


def test_control_of_a_cell_that_may_speak_unasked_half_an_answer_is_kept_while_nothing_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Inbox, "expect", lambda self, _: setattr(self._decoder, "expected", EVERY_CALL))

    async def scenario() -> None:
        cell = Cell()
        started(cell)
        tracemalloc.start()
        try:
            await half_an_answer(cell)
        finally:
            tracemalloc.stop()
        assert cell.warden.kills == [] and not cell.instance.is_gone
        ended(cell)

    run(scenario)


@pytest.mark.parametrize("said", [answer(1), begun(1), begun(1)[:13], WHERE, b"\xff" * 13, b"\x00" * 13])
def test_before_it_has_started_a_cell_says_how_it_started_and_nothing_else(said: bytes) -> None:
    async def scenario() -> None:
        cell = Cell()
        starting = asyncio.ensure_future(cell.instance.start(b"", 5.0))
        await turns(3)
        cell.says(said)
        with pytest.raises(StartFailed):
            await starting
        assert cell.warden.kills == VIOLATED
        cell.hangs_up()

    run(scenario)


@pytest.mark.parametrize("more", [b"\x13", answer(1), begun(1), begun(1)[:5], ready(), WHERE])
def test_behind_its_first_word_there_is_nothing(more: bytes) -> None:
    async def scenario() -> None:
        cell = Cell()
        starting = asyncio.ensure_future(cell.instance.start(b"", 5.0))
        await turns(3)
        cell.says(ready() + more)
        with pytest.raises(StartFailed):
            await starting
        assert cell.warden.kills == VIOLATED
        cell.hangs_up()

    run(scenario)


@pytest.mark.parametrize("more", [b"\x13", answer(1), answer(2), begun(1), begun(2), begun(2)[:5], WHERE])
def test_behind_the_answer_to_the_only_call_there_is_nothing_though_the_next_call_waits(more: bytes) -> None:
    waiting: list[PendingCall] = []

    def send_the_next(instance: Instance, _: float) -> None:
        instance.send(waiting.pop())

    async def scenario() -> None:
        cell = Cell(send_the_next)
        started(cell)
        call = cell.call()
        waiting.append(prepared())
        cell.says(answer(1, b"own") + more)
        with pytest.raises(CallLost):
            await call.future
        assert cell.warden.kills == VIOLATED
        assert len(waiting) == 1, "the next call was never sent to it"
        cell.hangs_up()

    run(scenario)


@pytest.mark.parametrize("call", [3, 4, 1 << 31, wire.CALL_MAX])
@pytest.mark.parametrize("is_behind", [False, True], ids=["alone", "behind-an-answer"])
def test_with_other_calls_running_an_answer_to_none_of_them_ends_the_cell_at_its_head(
    call: int, is_behind: bool
) -> None:
    """Not after its body, which may have 64 MiB and never end."""

    async def scenario() -> None:
        cell = Cell()
        cell.instance.capacity = 100
        started(cell)
        calls = [cell.call(), cell.call()]
        cell.says((answer(1) if is_behind else b"") + begun(call))
        await turns(3)
        assert cell.warden.kills == VIOLATED
        for each in calls:
            assert each.future.done()
            each.future.exception()
        cell.hangs_up()

    run(scenario)


def test_an_answer_that_was_begun_while_its_call_ran_may_not_go_on_after_that_was_answered() -> None:
    """Twice to the same call, of two that run: when the first one is taken nobody waits for the second."""

    async def scenario() -> None:
        cell = Cell()
        cell.instance.capacity = 100
        started(cell)
        first, second = cell.call(), cell.call()
        cell.says(answer(1, b"own") + begun(1))
        assert (await first.future).body == b"own"
        with pytest.raises(CallLost):
            await second.future
        assert cell.warden.kills == VIOLATED
        cell.hangs_up()

    run(scenario)


def test_answers_of_calls_that_run_may_come_in_pieces_and_in_any_order() -> None:
    """The other side: nothing that an honest cell says is a violation."""

    async def scenario() -> None:
        cell = Cell()
        cell.instance.capacity = 100
        started(cell)
        calls = [cell.call() for _ in range(3)]
        for number in (2, 3, 1):
            for byte in answer(number, b"%d" % number):
                cell.says(bytes([byte]))
                await turns(2)
            assert (await calls[number - 1].future).body == b"%d" % number
        assert cell.warden.kills == []
        assert cell.instance.is_idle
        ended(cell)

    run(scenario)


async def half_an_answer(cell: Cell) -> int:
    """Half a MiB of an answer to the running call; what the process then holds more than before."""
    before = tracemalloc.get_traced_memory()[0]
    cell.says(begun(1))
    await turns(3)
    for _ in range(9):
        cell.says(bytes(1 << 16))
        await turns(3)
    held = tracemalloc.get_traced_memory()[0] - before
    assert held > MIB // 2, "the test sees nothing"
    return before


@pytest.mark.parametrize("how", ["reaped", "violated"])
def test_an_instance_that_has_ended_holds_nothing_of_a_half_answer_though_somebody_still_knows_it(
    how: str,
) -> None:
    async def scenario() -> None:
        cell = Cell()
        started(cell)
        call = cell.call()
        before = await half_an_answer(cell)
        if how == "reaped":
            cell.instance.kill("released")
            cell.hangs_up()
            cell.instance.ended(RELEASED)
        else:
            cell.instance.violated("the test says so")
            cell.hangs_up()
        with pytest.raises(CallLost):
            await call.future
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < MIB // 8
        assert cell.gone == [cell.instance], "it is still known"

    tracemalloc.start()
    try:
        run(scenario)
    finally:
        tracemalloc.stop()
