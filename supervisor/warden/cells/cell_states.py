"""The life of one cell, as a table.

Rule 1: no other file says which state may follow which.
Rule 2: nothing here does I/O, reads a clock or knows what a process is.

A new cell is BLANK: it belongs to no function.  Its first lease ties it to one version of one function for
good.  No transition leads back to BLANK, so a cell never serves two tenants.  A front may return a tied cell
(RETURNED), and another front may lease it then, for the same version only.
"""

from __future__ import annotations

import enum


class CellState(enum.Enum):
    """Where a cell is in its life."""

    GROWING = "growing"
    BLANK = "blank"
    LEASED = "leased"
    RETURNED = "returned"
    DYING = "dying"
    DEAD = "dead"


class CellEvent(enum.Enum):
    """What happens to a cell."""

    BUILT = "built"
    TIED = "tied"
    RETURNED = "returned"
    LEASED_AGAIN = "leased again"
    KILLED = "killed"
    EXITED = "exited"


TRANSITIONS: dict[CellState, dict[CellEvent, CellState]] = {
    CellState.GROWING: {
        CellEvent.BUILT: CellState.BLANK,
        CellEvent.KILLED: CellState.DYING,
        CellEvent.EXITED: CellState.DEAD,
    },
    CellState.BLANK: {
        CellEvent.TIED: CellState.LEASED,
        CellEvent.KILLED: CellState.DYING,
        CellEvent.EXITED: CellState.DEAD,
    },
    CellState.LEASED: {
        CellEvent.RETURNED: CellState.RETURNED,
        CellEvent.KILLED: CellState.DYING,
        CellEvent.EXITED: CellState.DEAD,
    },
    CellState.RETURNED: {
        CellEvent.LEASED_AGAIN: CellState.LEASED,
        CellEvent.KILLED: CellState.DYING,
        CellEvent.EXITED: CellState.DEAD,
    },
    # A second kill changes nothing: the cause of the first is reported.
    CellState.DYING: {
        CellEvent.KILLED: CellState.DYING,
        CellEvent.BUILT: CellState.DYING,
        CellEvent.EXITED: CellState.DEAD,
    },
    CellState.DEAD: {},
}


class IllegalTransition(Exception):
    """A bug of ours: an event that the state does not allow."""


def next_state(state: CellState, event: CellEvent) -> CellState:
    """The state after ``event``.  Raises IllegalTransition if the table has none."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"a cell that is {state.value} cannot be {event.value}") from None
