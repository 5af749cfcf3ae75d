"""The life of a cell, edge by edge: this table is the argument that no cell serves two tenants."""

from __future__ import annotations

import itertools

import pytest

from supervisor.warden.cells.cell_states import TRANSITIONS, Event, IllegalTransition, State, next_state

# Every edge there is, said once more by hand: a new one fails until someone has thought about it.
EDGES = {
    (State.GROWING, Event.BUILT): State.BLANK,
    (State.GROWING, Event.KILLED): State.DYING,
    (State.GROWING, Event.EXITED): State.DEAD,
    (State.BLANK, Event.TIED): State.LEASED,
    (State.BLANK, Event.KILLED): State.DYING,
    (State.BLANK, Event.EXITED): State.DEAD,
    (State.LEASED, Event.RETURNED): State.RETURNED,
    (State.LEASED, Event.KILLED): State.DYING,
    (State.LEASED, Event.EXITED): State.DEAD,
    (State.RETURNED, Event.LEASED_AGAIN): State.LEASED,
    (State.RETURNED, Event.KILLED): State.DYING,
    (State.RETURNED, Event.EXITED): State.DEAD,
    (State.DYING, Event.KILLED): State.DYING,
    (State.DYING, Event.BUILT): State.DYING,
    (State.DYING, Event.EXITED): State.DEAD,
}
TIED = (State.LEASED, State.RETURNED)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_of_state_and_event_leads_where_it_should(state: State, event: Event) -> None:
    if (state, event) in EDGES:
        assert next_state(state, event) is EDGES[state, event]
    else:
        with pytest.raises(IllegalTransition, match=f"{state.value} cannot be {event.value}"):
            next_state(state, event)


def reachable(start: State, without: frozenset[State] = frozenset()) -> set[State]:
    """The states that a cell can come to from ``start``, not through those left out."""
    found: set[State] = set()
    waiting = [start]
    while waiting:
        for state in TRANSITIONS[waiting.pop()].values():
            if state not in found and state not in without:
                found.add(state)
                waiting.append(state)
    return found


def test_every_state_has_a_row_and_every_event_is_used() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


@pytest.mark.parametrize("state", [state for state in State if state is not State.DEAD])
def test_every_cell_that_lives_can_be_killed_and_can_exit(state: State) -> None:
    assert next_state(state, Event.KILLED) is State.DYING
    assert next_state(state, Event.EXITED) is State.DEAD


def test_every_state_can_be_reached() -> None:
    assert reachable(State.GROWING) | {State.GROWING} == set(State)


@pytest.mark.promise("T12")
@pytest.mark.parametrize("state", [state for state in State if state is not State.GROWING])
def test_a_cell_never_becomes_blank_again(state: State) -> None:
    assert State.BLANK not in reachable(state)


@pytest.mark.parametrize("state", TIED)
def test_a_cell_that_is_tied_stays_so_until_it_dies(state: State) -> None:
    assert reachable(state) <= {*TIED, State.DYING, State.DEAD}
    assert Event.TIED not in TRANSITIONS[state]


def test_a_cell_is_tied_once_and_only_when_it_is_complete() -> None:
    assert [state for state, row in TRANSITIONS.items() if Event.TIED in row] == [State.BLANK]
    assert State.LEASED not in reachable(State.GROWING, without=frozenset({State.BLANK}))


def test_nothing_comes_after_death_and_nothing_but_death_after_dying() -> None:
    assert TRANSITIONS[State.DEAD] == {}
    assert set(TRANSITIONS[State.DYING].values()) == {State.DYING, State.DEAD}
