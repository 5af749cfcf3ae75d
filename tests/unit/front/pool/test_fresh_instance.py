"""An instance whose calls share nothing: when its next call may be sent, whatever the cell says meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from supervisor.front.outcome.lost_calls import CallLost, StartFailed
from supervisor.front.pool import fresh_instance as module
from supervisor.front.pool.cell.pending_call import PendingCall
from supervisor.front.pool.fresh_instance import FreshInstance
from supervisor.front.warden_link import Lease
from tests.support.scripted_cell import Ends, ScriptedWarden, answer, identity, prepared, ready
from tests.unit.front.pool.test_instance import run, turns
from worker import wire


class FreshCell(Ends):
    """A cell with a word pipe, and the instance that holds it."""

    def __init__(self) -> None:
        super().__init__()
        ours, self.word = os.pipe()
        os.set_blocking(ours, False)
        self._open.add(self.word)
        self.warden = ScriptedWarden()
        self.freed: list[float] = []
        self.gone: list[Any] = []
        lease = Lease("cell-1", None, [*self.ours, ours])
        self.instance = FreshInstance(
            lease,
            self.warden,  # type: ignore[arg-type]
            identity(),
            lambda _, seconds: self.freed.append(seconds),
            lambda instance, _: self.gone.append(instance),
        )

    async def begin(self, word: bytes = wire.CLEAN) -> None:
        """READY, and pid 1's first word."""
        self.says(ready())
        os.write(self.word, word)
        await self.instance.start(b"", 5.0)
        self.instance.serve(False, 1)

    async def answered(self, number: int = 1) -> PendingCall:
        """A call that was sent, read and answered."""
        call = prepared()
        self.instance.send(call)
        os.read(self.requests, 1 << 20)
        self.says(answer(number))
        await call.future
        return call

    def end(self) -> None:
        """Nothing of it is left."""
        self.instance.violated("the test is over")
        self.hangs_up()


def scenario(steps: Callable[[FreshCell], Awaitable[None]]) -> None:
    """Run the steps with a cell."""

    async def whole() -> None:
        cell = FreshCell()
        try:
            await steps(cell)
        finally:
            cell.end()

    run(whole)


def test_it_is_free_when_pid_1_has_said_so_and_not_when_it_has_answered() -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        await cell.answered()
        await turns()
        assert (cell.freed, cell.instance.load, cell.instance.is_idle) == ([], 1, False)
        os.write(cell.word, wire.CLEAN)
        await turns()
        assert (len(cell.freed), cell.instance.load, cell.instance.is_idle) == (1, 0, True)
        await cell.answered(2)

    scenario(steps)


def test_an_answer_and_the_word_may_come_in_any_order() -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        call = prepared()
        cell.instance.send(call)
        os.read(cell.requests, 1 << 20)
        os.write(cell.word, wire.CLEAN)
        cell.says(answer(1))
        await turns()
        assert (await call.future).kind == wire.ANSWER
        assert len(cell.freed) == 1

    scenario(steps)


@pytest.mark.parametrize("left", ["a frame for the next call", "half a frame", "a part of the request"])
def test_what_is_left_in_a_pipe_costs_the_cell_and_no_call(left: str) -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        call = prepared()
        cell.instance.send(call)
        if left != "a part of the request":
            os.read(cell.requests, 1 << 20)
        else:
            os.read(cell.requests, 3)
        late = {"a frame for the next call": answer(2), "half a frame": answer(2)[:9]}.get(left, b"")
        cell.says(answer(1))
        assert (await call.future).kind == wire.ANSWER
        cell.says(late)
        os.write(cell.word, wire.CLEAN)
        await turns()
        assert cell.freed == []
        assert cell.instance.is_ending
        assert len(cell.warden.kills) == 1

    scenario(steps)


def test_a_process_that_ends_without_an_answer_loses_its_call() -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        call = prepared()
        cell.instance.send(call)
        os.read(cell.requests, 1 << 20)
        os.write(cell.word, wire.CLEAN)
        with pytest.raises(CallLost) as lost:
            await call.future
        assert lost.value.ending.cause == "exited"
        assert cell.warden.kills

    scenario(steps)


@pytest.mark.parametrize("words", [wire.CLEAN * 2, b"?", wire.ONE_CALL_THREADS])
def test_a_word_that_there_is_not_ends_it(words: bytes) -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        await cell.answered()
        os.write(cell.word, words)
        await turns()
        assert (cell.freed, cell.warden.kills) == ([], [("cell-1", "recycled")])

    scenario(steps)


def test_a_cell_that_is_not_clean_in_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLEAN_SECONDS", 0.01)

    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        await cell.answered()
        await asyncio.wait_for(cell.warden.has_killed.wait(), 30.0)
        assert cell.instance.is_ending

    scenario(steps)


@pytest.mark.parametrize("word", wire.ONE_CALL)
def test_a_cell_that_cannot_be_forked_from_serves_one_call(word: bytes) -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin(word)
        assert cell.instance.single_use_reason == wire.ONE_CALL[word]
        await cell.answered()
        # Its pool has it leave.
        assert (len(cell.freed), cell.instance.is_retiring, cell.instance.load) == (1, True, 0)

    scenario(steps)


def test_it_has_not_started_before_the_first_word() -> None:
    async def steps(cell: FreshCell) -> None:
        cell.says(ready())
        starting = asyncio.ensure_future(cell.instance.start(b"", 5.0))
        await turns()
        assert not starting.done()
        cell.instance.violated("it ended instead")
        with pytest.raises(StartFailed):
            await starting

    scenario(steps)


def test_values_are_sent_with_each_call_that_needs_others_than_the_first() -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        for number in (1, 2):
            call = prepared()
            call.values = type("Values", (), {"revision": 7, "frame": b"values", "masker": None})()
            cell.instance.send(call)
            assert os.read(cell.requests, 1 << 20).startswith(b"values")
            cell.says(answer(number))
            await call.future
            os.write(cell.word, wire.CLEAN)
            await turns()
        assert len(cell.freed) == 2

    scenario(steps)


def test_it_ends_where_others_are_handed_back() -> None:
    async def steps(cell: FreshCell) -> None:
        await cell.begin()
        cell.instance.give_back(False)
        assert (cell.warden.returned, cell.warden.kills) == ([], [("cell-1", "released")])
        assert cell.gone == [cell.instance]

    scenario(steps)
