"""The warden's books in any order of events: what counts against a version are its living cells alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor import datagrams
from supervisor.signals import how_ended
from supervisor.warden import processes
from supervisor.warden.cells import held_cell
from supervisor.warden.cells.cell_states import CellState
from supervisor.warden.cells.confinement import Confinement
from supervisor.warden.leases import desk
from supervisor.warden.supply import registry
from tests.support.scripted_host import (
    QUEUE_SECONDS,
    Clock,
    Injected,
    ScriptedHost,
    dead_process,
    lease,
    unconfined,
)
from worker.setup_messages import WorkerExited

MOST_CELLS = 4
KEYS = (("one", "f", 1), ("one", "f", 2), ("two", "f", 1))
MODES = ("serve", "serve", "keep", "check")
# Above the lines that run in any end; whatever is not reached is an end without an error.
LINES = 260
PATIENT_S = 60.0

Host = Callable[..., None]


@pytest.fixture(scope="module")
def confinement(tmp_path_factory: pytest.TempPathFactory) -> Confinement:
    return unconfined(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def on_a_host(confinement: Confinement) -> Iterator[Host]:
    """``on_a_host(scenario)`` runs it with a new one; all is closed afterwards, unless it has errors."""
    logging.getLogger("cellblock").setLevel(logging.CRITICAL)  # each injected error has a traceback
    with dead_process() as pidfd, pytest.MonkeyPatch.context() as patch:
        # A link that was read for 5 ms rests for as long, by the machine's clock.  Where others take the
        # processor one message takes that long, and a host that is played has heard nothing in its turns.
        patch.setattr(datagrams, "TURN_SECONDS", PATIENT_S)

        def run(
            scenario: Callable[[ScriptedHost], Coroutine[Any, Any, None]], has_errors: bool = False
        ) -> None:
            async def whole() -> None:
                host = ScriptedHost(loop, confinement, MOST_CELLS, pidfd)
                try:
                    await host.settle()
                    await scenario(host)
                finally:
                    await host.close()

            before = len(os.listdir("/proc/self/fd"))
            loop = Clock()
            try:
                loop.run_until_complete(whole())
            finally:
                loop.close()
            after = len(os.listdir("/proc/self/fd"))
            assert after == before or has_errors, "descriptors were left"

        yield run
    logging.getLogger("cellblock").setLevel(logging.NOTSET)


async def all_go_on(host: ScriptedHost) -> None:
    for _ in range(4):
        for cell in list(host.cells):
            cell.go_on()
        await host.settle()


def assert_right(host: ScriptedHost) -> None:
    """No account has anything of a cell that was reaped, and all accounts agree."""
    book, alive = host.desk.accounts, set(host.registry.cells)
    entries = {entry for places in book._places.values() for entry in places if isinstance(entry, str)}
    assert entries <= alive
    assert {*book._tied, *book._holder, *book._spare} <= alive
    assert sum(book.of_space.values()) == len(book._tied)
    assert host.slots.free == MOST_CELLS - len(alive)
    assert all(host.children.has(cell.pid) for cell in host.registry.cells.values() if cell.pid)


events = st.one_of(
    st.tuples(st.just("lease"), st.integers(0, 3), st.sampled_from(KEYS), st.sampled_from(MODES)),
    st.tuples(st.just("go on"), st.integers(0, 5)),
    st.tuples(st.just("all go on")),
    st.tuples(
        st.just("die"),
        st.integers(0, 5),
        st.one_of(st.none(), st.tuples(st.integers(0, 127), st.integers(0, 255))),
        st.integers(0, 0xFFFF).filter(lambda status: how_ended(status) is not None),
        st.one_of(st.just(-1), st.integers(0, LINES)),
    ),
    st.tuples(st.just("stop"), st.integers(0, 5)),
    st.tuples(st.just("return"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("kill"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("leave"), st.integers(0, 3)),
    st.tuples(st.just("join")),
    st.tuples(st.just("wait"), st.sampled_from((0.05, 1.0, 6.0, 16.0))),
)


def chosen(items: list[Any], index: int) -> Any:
    return items[index % len(items)] if items else None


async def happen(host: ScriptedHost, ticket: int, event: tuple[Any, ...]) -> None:
    what, *rest = event
    fronts = [front for front in host.fronts if not front.is_gone]
    if what == "join":
        if len(fronts) < 4:
            host.join()
    elif what == "wait":
        await host.advance(rest[0])
    elif what == "all go on":
        await all_go_on(host)
    elif what in ("go on", "die", "stop"):
        cell = chosen(host.cells, rest[0])
        if cell is not None and what == "go on":
            cell.go_on()
        elif cell is not None and what == "stop":
            host.children.ended(cell.pid, 0x137F)  # only stopped: it lives
        elif cell is not None:
            _, said, status, error_at = rest
            if said is not None:
                cell.say(WorkerExited(*said))
            host.reap(cell, status, error_at)
    elif fronts:
        front = chosen(fronts, rest[0])
        held = list(front.held)
        if what == "lease":
            front.asked[ticket] = rest[1] if rest[2] != "check" else ("", "check")
            front.send(lease(ticket, rest[1], 2, rest[2]))
        elif what == "leave":
            front.leave()
        elif held and what == "return":
            front.give_back(chosen(held, rest[1]))
        elif held and what == "kill":
            front.send({"do": "kill", "cell": chosen(held, rest[1]), "cause": "released"})
    await host.settle()


@pytest.mark.slow
@pytest.mark.promise("S88")
@settings(derandomize=True, deadline=None, max_examples=250, database=None)
@given(st.lists(events, max_size=40))
@example([("lease", 0, KEYS[0], "serve"), ("all go on",), ("die", 0, (40, 0), 0, -1)])
@example([("lease", 0, KEYS[0], "serve"), ("all go on",), ("die", 0, (100, 0), 100, 3)])
def test_whatever_happens_in_whatever_order_places_are_those_of_living_cells(
    on_a_host: Host, happens: list[tuple[Any, ...]]
) -> None:
    async def scenario(host: ScriptedHost) -> None:
        for _ in range(2):
            host.join()
        for ticket, event in enumerate(happens):
            await happen(host, ticket, event)
            assert_right(host)
        # Every request has its answer by then, and nothing waits for another front any more.
        await host.advance(QUEUE_SECONDS)
        await host.advance(QUEUE_SECONDS)
        for cell in list(host.cells):
            if any(c.pid == cell.pid and c.state is CellState.DYING for c in host.registry.cells.values()):
                host.reap(cell, 9)
        await host.settle()
        assert_right(host)
        for key in KEYS:
            assert host.desk.accounts.places(key) == host.living(key)
        # Nothing of all that is left once everybody has gone.
        for front in host.fronts:
            front.leave()
        await host.settle()
        await host.close()
        assert not host.registry.cells and host.slots.free == MOST_CELLS
        assert (
            not host.desk.accounts._places
            and not host.desk.accounts._tied
            and not host.desk.accounts.of_space
        )

    # What a line was to close stays open if that line is where the error is.
    on_a_host(scenario, has_errors=any(event[0] == "die" and event[-1] >= 0 for event in happens))


@pytest.mark.slow
def test_an_error_at_any_line_of_an_end_costs_no_place_and_no_other_end(on_a_host: Host) -> None:
    """Line by line, until the end has no more lines: another front waits for the place meanwhile."""
    reached = [True]

    def one_with_an_error_at(line: int) -> None:
        async def scenario(host: ScriptedHost) -> None:
            mine, other = host.join(), host.join()
            for ticket in (1, 2):
                mine.asked[ticket] = KEYS[0]
                mine.send(lease(ticket, KEYS[0], 2))
            await host.settle()
            await all_go_on(host)
            assert len(mine.held) == 2
            other.asked[3] = KEYS[0]
            other.send(lease(3, KEYS[0], 2))
            await host.settle()
            first, second = (
                cell
                for cell in list(host.cells)
                if any(c.pid == cell.pid and c.name in mine.held for c in host.registry.cells.values())
            )
            first.say(WorkerExited(40, 0))
            was_reached = host.reap(first, 0, line)
            host.reap(second, 0x0B)
            await host.settle()
            assert_right(host)
            # Both are free: the one that waited has one of them, and this front can have the other.
            await host.advance(1.0)
            await all_go_on(host)
            assert len(other.held) == 1, "whoever waited was forgotten"
            mine.asked[4] = KEYS[0]
            mine.send(lease(4, KEYS[0], 2))
            await host.settle()
            await host.advance(1.0)
            await all_go_on(host)
            assert host.living(KEYS[0]) == 2
            assert host.desk.accounts.places(KEYS[0]) == 2
            reached.append(was_reached)

        on_a_host(scenario, has_errors=True)

    while reached[-1]:
        one_with_an_error_at(len(reached) - 1)
    assert len(reached) > 100, "the lines of an end were not found"


def only_until_it_raises(_: str, *steps: Callable[[], object]) -> None:
    for step in steps:
        step()


def test_control_where_the_first_error_is_the_last_step_such_an_error_keeps_a_place(
    on_a_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (held_cell, desk, processes, registry):
        monkeypatch.setattr(module, "take_all_steps", only_until_it_raises)
    kept: list[bool] = []

    def one_with_an_error_at(line: int) -> None:
        async def scenario(host: ScriptedHost) -> None:
            mine = host.join()
            mine.asked[1] = KEYS[0]
            mine.send(lease(1, KEYS[0], 1))
            await host.settle()
            await all_go_on(host)
            (name,) = mine.held
            pid = host.registry.cells[name].pid
            (cell,) = (cell for cell in host.cells if cell.pid == pid)
            with pytest.raises(Injected):
                host.reap(cell, 0, line)
            await host.settle()
            kept.append(host.desk.accounts.places(KEYS[0]) == 1 and host.living(KEYS[0]) == 0)
            # What such an error leaves is put right by hand, so that the host can be closed.
            host.registry.cells.pop(name, None)

        on_a_host(scenario, has_errors=True)

    line = 0
    while not any(kept) and line < LINES:
        one_with_an_error_at(line)
        line += 1
    assert any(kept)
