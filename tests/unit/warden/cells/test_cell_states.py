"""The life of a cell, transition by transition: the proof that no cell serves two tenants."""

from __future__ import annotations

import itertools

import pytest

from supervisor.warden.cells.cell_states import (
    TRANSITIONS,
    CellEvent,
    CellState,
    IllegalTransition,
    next_state,
)

# Every edge there is, said once more by hand: a new one fails until someone has thought about it.
EDGES = {
    (CellState.GROWING, CellEvent.BUILT): CellState.BLANK,
    (CellState.GROWING, CellEvent.KILLED): CellState.DYING,
    (CellState.GROWING, CellEvent.EXITED): CellState.DEAD,
    (CellState.BLANK, CellEvent.TIED): CellState.LEASED,
    (CellState.BLANK, CellEvent.KILLED): CellState.DYING,
    (CellState.BLANK, CellEvent.EXITED): CellState.DEAD,
    (CellState.LEASED, CellEvent.RETURNED): CellState.RETURNED,
    (CellState.LEASED, CellEvent.KILLED): CellState.DYING,
    (CellState.LEASED, CellEvent.EXITED): CellState.DEAD,
    (CellState.RETURNED, CellEvent.LEASED_AGAIN): CellState.LEASED,
    (CellState.RETURNED, CellEvent.KILLED): CellState.DYING,
    (CellState.RETURNED, CellEvent.EXITED): CellState.DEAD,
    (CellState.DYING, CellEvent.KILLED): CellState.DYING,
    (CellState.DYING, CellEvent.BUILT): CellState.DYING,
    (CellState.DYING, CellEvent.EXITED): CellState.DEAD,
}
TIED = (CellState.LEASED, CellState.RETURNED)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(CellState, CellEvent)))
def test_every_pair_of_state_and_event_leads_where_it_should(state: CellState, event: CellEvent) -> None:
    if (state, event) in EDGES:
        assert next_state(state, event) is EDGES[state, event]
    else:
        with pytest.raises(IllegalTransition, match=f"{state.value} cannot be {event.value}"):
            next_state(state, event)


def reachable(start: CellState, without: frozenset[CellState] = frozenset()) -> set[CellState]:
    """The states that a cell can reach from ``start`` without passing through ``without``."""
    found: set[CellState] = set()
    waiting = [start]
    while waiting:
        for state in TRANSITIONS[waiting.pop()].values():
            if state not in found and state not in without:
                found.add(state)
                waiting.append(state)
    return found


def test_every_state_has_a_row_and_every_event_is_used() -> None:
    assert set(TRANSITIONS) == set(CellState)
    assert {event for row in TRANSITIONS.values() for event in row} == set(CellEvent)


@pytest.mark.parametrize("state", [state for state in CellState if state is not CellState.DEAD])
def test_every_cell_that_lives_can_be_killed_and_can_exit(state: CellState) -> None:
    assert next_state(state, CellEvent.KILLED) is CellState.DYING
    assert next_state(state, CellEvent.EXITED) is CellState.DEAD


def test_every_state_can_be_reached() -> None:
    assert reachable(CellState.GROWING) | {CellState.GROWING} == set(CellState)


@pytest.mark.promise("T12")
@pytest.mark.parametrize("state", [state for state in CellState if state is not CellState.GROWING])
def test_a_cell_never_becomes_blank_again(state: CellState) -> None:
    assert CellState.BLANK not in reachable(state)


@pytest.mark.parametrize("state", TIED)
def test_a_cell_that_is_tied_stays_so_until_it_dies(state: CellState) -> None:
    assert reachable(state) <= {*TIED, CellState.DYING, CellState.DEAD}
    assert CellEvent.TIED not in TRANSITIONS[state]


def test_a_cell_is_tied_once_and_only_when_it_is_complete() -> None:
    assert [state for state, row in TRANSITIONS.items() if CellEvent.TIED in row] == [CellState.BLANK]
    assert CellState.LEASED not in reachable(CellState.GROWING, without=frozenset({CellState.BLANK}))


def test_nothing_comes_after_death_and_nothing_but_death_after_dying() -> None:
    assert TRANSITIONS[CellState.DEAD] == {}
    assert set(TRANSITIONS[CellState.DYING].values()) == {CellState.DYING, CellState.DEAD}
