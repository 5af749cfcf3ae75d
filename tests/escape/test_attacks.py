"""Every attack of the catalogue, by a function deployed over HTTP: stopped, and by the layer that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.escape.attack import Attack
from tests.escape.canaries import Canaries
from tests.escape.catalogue import ATTACKS
from tests.escape.conftest import Target
from tests.escape.matrix import Matrix

# A connection that was made is accepted in far less.
CONNECTION_SECONDS = 5.0
Targets = Callable[[str, frozenset[str]], Target]

pytestmark = pytest.mark.needs_sandbox


def shown(found: Any, canaries: Canaries) -> Any:
    """``found`` with what differs from run to run replaced by a word."""
    if isinstance(found, str) and canaries.token in found:
        return "TOKEN"
    if isinstance(found, str) and len(found) > 60:
        return "SHOWN"
    return found


def run(target: Target, attack: Attack, canaries: Canaries) -> Any:
    """One attempt; whatever it gives, the canaries are as they were."""
    found = target.attack(attack.code, dict(attack.options))
    canaries.assert_untouched()
    if isinstance(found, list):
        return [shown(item, canaries) for item in found]
    return shown(found, canaries)


COMPLETE = [pytest.param(tier, attack, id=f"{tier}-{attack.id}") for tier in ("A", "A-user")
            for attack in ATTACKS if tier in attack.tiers]  # fmt: skip
WEAKENED = sorted(
    [
        (attack.alone(layer), attack, layer)
        for attack in ATTACKS
        for layer in attack.layers
        if len(attack.layers) > 1 or attack.also_without
    ]
    + [(attack.without, attack, "") for attack in ATTACKS if not attack.no_control],
    key=lambda item: (sorted(item[0]), item[1].id, item[2]),
)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this run sees; a complete one is compared with docs/attacks.md."""
    seen = Matrix()
    yield seen
    seen.settle(ATTACKS)


@pytest.mark.promise("T36")
@pytest.mark.parametrize(("tier", "attack"), COMPLETE)
def test_an_attack_is_stopped(
    tier: str, attack: Attack, targets: Targets, canaries: Canaries, matrix: Matrix
) -> None:
    """The error is seen, the canaries are untouched, nobody was connected to, and no token came out."""
    before = canaries.connections
    target = targets(tier, frozenset())
    found = run(target, attack, canaries)
    assert found in attack.stopped
    assert canaries.connections == before
    assert not canaries.leaked_in(str(found))
    assert not canaries.leaked_in(target.server.log)
    matrix.stopped(attack, tier)


@pytest.mark.promise("T35")
@pytest.mark.parametrize(
    ("without", "attack", "layer"),
    [
        pytest.param(*item, id=f"{item[1].id}-{f'by-{item[2]}-alone' if item[2] else 'control'}")
        for item in WEAKENED
    ],
)
def test_without_layers(
    without: frozenset[str], attack: Attack, layer: str, targets: Targets, canaries: Canaries, matrix: Matrix
) -> None:
    """The control succeeds with all its layers gone; with one of them left it does not."""
    before = canaries.connections
    found = run(targets("A", without), attack, canaries)
    if not layer:
        assert found in attack.succeeds
        if attack.connects:
            listener = canaries.listeners[attack.connects]
            assert listener.has_more_than(before[attack.connects], CONNECTION_SECONDS)
        assert not attack.leaks or "TOKEN" in str(found)
        matrix.succeeded(attack)
    else:
        assert found in (*attack.stopped, *attack.stopped_by_one)
        assert canaries.connections == before
        matrix.stopped_by(attack, layer)


def test_the_catalogue_has_at_least_ninety_cases() -> None:
    assert len(ATTACKS) >= 90
    assert len({attack.id for attack in ATTACKS}) == len(ATTACKS)
