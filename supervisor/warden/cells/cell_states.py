"""The life of one cell, as a table.

Rule 1: this is the only file that says which state may follow which.
Rule 2: nothing here does I/O, reads a clock or knows what a process is.

A cell starts belonging to nobody (BLANK).  Its first lease ties it to one version of one function
for good: no edge leads back to BLANK, so it can never serve two tenants.  A front may hand a tied
cell back (RETURNED) for another front to lease, for the same version only.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where a cell is in its life."""

    GROWING = "growing"
    BLANK = "blank"
    LEASED = "leased"
    RETURNED = "returned"
    DYING = "dying"
    DEAD = "dead"


class Event(enum.Enum):
    """What happens to a cell."""

    BUILT = "built"
    TIED = "tied"
    RETURNED = "returned"
    LEASED_AGAIN = "leased again"
    KILLED = "killed"
    EXITED = "exited"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.GROWING: {Event.BUILT: State.BLANK, Event.KILLED: State.DYING, Event.EXITED: State.DEAD},
    State.BLANK: {Event.TIED: State.LEASED, Event.KILLED: State.DYING, Event.EXITED: State.DEAD},
    State.LEASED: {Event.RETURNED: State.RETURNED, Event.KILLED: State.DYING, Event.EXITED: State.DEAD},
    State.RETURNED: {Event.LEASED_AGAIN: State.LEASED, Event.KILLED: State.DYING, Event.EXITED: State.DEAD},
    # A second reason to kill a cell changes nothing: the first one is the cause that is told.
    State.DYING: {Event.KILLED: State.DYING, Event.BUILT: State.DYING, Event.EXITED: State.DEAD},
    State.DEAD: {},
}


class IllegalTransition(Exception):
    """Our own bug: an event that this state does not know."""


def next_state(state: State, event: Event) -> State:
    """The state after ``event``; IllegalTransition when the table has none."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"a cell that is {state.value} cannot be {event.value}") from None
