"""What fronts say of starts: who waits at another front learns of an import, and a failure is remembered."""

from __future__ import annotations

from typing import Any

from supervisor.link_messages import StartState
from supervisor.warden.leases import start_states as module
from supervisor.warden.leases.accounts import Key
from supervisor.warden.leases.start_states import StartStates

CELL = "0123456789"
KEY = ("space", "name", 1)


def said(state: str, cell: str = CELL, version: int = 1, reason: str = "") -> StartState:
    return StartState(cell, "space", "name", version, state, reason)


def test_an_import_is_one_until_it_is_ready_or_has_failed_or_its_cell_is_gone() -> None:
    told: list[Key] = []
    starts = StartStates(told.append)
    ends = [
        lambda: starts.heard(said("ready"), True),
        lambda: starts.heard(said("failed"), False),
        lambda: starts.ended(CELL),
    ]
    for end in ends:
        starts.heard(said("importing"), True)
        assert starts.is_importing(["another", CELL]) and not starts.is_importing(["another"])
        end()
        assert not starts.is_importing([CELL])
    assert told == [KEY] * len(ends)


def test_a_front_says_it_of_its_own_cells_only() -> None:
    told: list[Key] = []
    starts = StartStates(told.append)
    starts.heard(said("importing"), False)
    assert not starts.is_importing([CELL]) and told == []


def test_a_failure_stays_until_a_start_works_or_the_function_changes() -> None:
    starts = StartStates(lambda _: None)
    third = ("space", "name", 3)
    assert starts.failed(third) == (0, "")
    for mend in (
        lambda: starts.heard(said("ready", version=3), True),
        lambda: starts.changed("space", "name"),
    ):
        starts.heard(said("failed", version=3, reason="why"), False)
        starts.heard(said("importing"), True)
        starts.changed("space", "other")
        starts.heard(said("ready", version=2), True)
        assert starts.failed(third) == (3, "why")
        mend()
        assert starts.failed(third) == (0, "")


def test_a_version_that_was_ready_is_remembered_until_the_function_changes_and_it_has_no_instances() -> None:
    starts = StartStates(lambda _: None)
    second, third = ("space", "name", 2), ("space", "name", 3)
    assert starts.ready(third) == 0
    for version in (2, 3):
        starts.heard(said("ready", version=version), True)
    starts.heard(said("failed", version=3, reason="why"), True)
    assert (starts.ready(third), starts.failed(third)) == (3, (3, "why"))
    assert (starts.ready(second), starts.failed(second)) == (2, (0, "")), "each for itself"
    starts.changed("space", "name", {third})
    assert (starts.ready(second), starts.ready(third), starts.failed(third)) == (0, 3, (0, ""))
    starts.changed("space", "name")
    assert starts.ready(third) == 0


def test_what_is_remembered_has_a_bound(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MOST", 3)
    starts = StartStates(lambda _: None)
    keys = [("space", f"n{number}", 1) for number in range(5)]
    for number in range(5):
        starts.heard(said("failed", reason="why").replaced(name=f"n{number}"), False)
    assert [starts.failed(key)[1] for key in keys] == ["", "", "why", "why", "why"]
    for number in range(5):
        starts.heard(said("ready").replaced(name=f"n{number}"), False)
    assert [starts.ready(key) for key in keys] == [0, 0, 1, 1, 1]
