"""The attacks on resources with layers taken away: each alone stops them, without all they succeed.

In bounded amounts: a control takes more than the limit that is not there, and little for a machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.escape.attacks import resources
from tests.escape.attacks.resources import BOUND, MORE_THAN_A_TENTH, TENTH
from tests.escape.conftest import Target
from tests.escape.neighbour import field_of
from tests.support.patience import FACTOR

Targets = Callable[[str, frozenset[str]], Target]

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.timeout(90)]


@dataclass(frozen=True)
class Control:
    """``code`` succeeds without ``layers``, and gives one of ``stopped`` with any one of them left."""

    name: str
    code: str
    layers: tuple[str, ...]
    succeeds: Callable[[Any], bool]
    stopped: Callable[[Any], bool] = lambda _: False
    options: dict[str, Any] = field(default_factory=dict)


def equals(*wanted: Any) -> Callable[[Any], bool]:
    """Exactly this, or one of these."""
    return lambda found: found in wanted


def begins(*wanted: str) -> Callable[[Any], bool]:
    """A list whose first item is one of these, or one of these itself."""
    return lambda found: (found[0] if isinstance(found, list) else found) in wanted


def more_than(least: float) -> Callable[[Any], bool]:
    """A number above it."""
    return lambda found: bool(found > least)


FOLDER = {"mebibytes": 20, "before": "pass"}
PIPES_OPEN = {"open_files": 2100, "timeout": 20.0}
MORE = {"open_files": 600, "timeout": 20.0}
# Memory is slow to come under a translated kernel, and on a busy machine.
PATIENT = {"timeout": 5.0 * FACTOR}
PROCESSES = ("cg", "rl")
ALL_MADE = equals(["ok", BOUND])
CONTROLS = [
    Control("013-fill-tmp", resources.FILL.format(path="/tmp/full", **FOLDER), ("tmp",), equals("ok")),
    Control("013-fill-tmp-with-files", resources.INODES, ("tmp",), equals(["ok", False])),
    Control("014-fill-shm", resources.FILL.format(path="/dev/shm/full", **FOLDER), ("tmp",), equals("ok")),
    Control("056-fork-bomb", resources.FORKS, PROCESSES, ALL_MADE, begins("EAGAIN")),
    Control("056-thread-bomb", resources.THREADS, PROCESSES, ALL_MADE, begins("RuntimeError")),
    Control("056-zombie-bomb", resources.ZOMBIES, PROCESSES, ALL_MADE, begins("EAGAIN")),
    Control("057-memory", resources.MEMORY, ("cg",), equals(200), options=PATIENT),
    Control("057-memory-of-children", resources.MEMORY_OF_CHILDREN, ("cg",), equals(0), options=PATIENT),
    Control(
        "057-memory-of-a-grandchild", resources.MEMORY_OF_A_GRANDCHILD, ("cg",), equals("0"), options=PATIENT
    ),
    Control("058-pipes", resources.PIPES, ("cg",), equals(["ok", 62]), options=PIPES_OPEN),
    Control("058-socket-buffers", resources.SOCKET_BUFFERS, ("cg",), equals(["ok", 128]), options=MORE),
    Control("058-descriptors-in-flight", resources.IN_FLIGHT, ("rl",), equals("ok")),
    Control("058-mlock", resources.MLOCK, ("rl", "sec"), equals("ok"), begins("EPERM", "ENOMEM")),
    Control("059-spin", resources.SPIN, ("cg",), more_than(MORE_THAN_A_TENTH), options=TENTH),
    Control("060-descriptors", resources.DESCRIPTORS, ("rl",), equals("ok")),
    Control("060-timers", resources.TIMERS, ("rl", "sec"), equals("ok"), begins("EAGAIN", "EPERM")),
    Control("060-signals", resources.QUEUED_SIGNALS, ("rl", "sec"), equals("ok"), begins("EAGAIN", "EPERM")),
    Control("062-execs", resources.EXECS, ("cg",), more_than(MORE_THAN_A_TENTH), options=TENTH),
]
RUNS = sorted(
    [(frozenset(control.layers), control, "control") for control in CONTROLS]
    + [
        (frozenset(control.layers) - {layer}, control, f"by-{layer}-alone")
        for control in CONTROLS
        for layer in control.layers
        if len(control.layers) > 1
    ],
    key=lambda run: (sorted(run[0]), run[1].name, run[2]),
)


@pytest.mark.parametrize(
    ("without", "control", "what"),
    [pytest.param(*run, id=f"{run[1].name}-{run[2]}") for run in RUNS],
)
def test_a_limit_is_the_layers_that_it_is_said_to_be(
    without: frozenset[str], control: Control, what: str, targets: Targets
) -> None:
    """Even without it the neighbour is answered and nothing is left: the amounts are bounded."""
    with field_of(targets("A", without).server) as field:
        outcome = field.attack(control.code, **control.options)
        assert outcome.status == 200 or (what != "control" and outcome.found is None)
        wanted = control.succeeds if what == "control" else control.stopped
        assert wanted(outcome.found), outcome.found
