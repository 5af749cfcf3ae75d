"""When a pool asks for another instance, over every small situation there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from supervisor.front.pool.growth import GROW_AFTER_S, STUCK_AFTER_S, Snapshot, to_start


def situations() -> Iterator[Snapshot]:
    """Few of everything, waits and call times on both sides of each limit."""
    counts = (0, 1, 2, 5)
    waits = (0.0, GROW_AFTER_S / 2, GROW_AFTER_S, STUCK_AFTER_S, 10.0)
    typical = (0.0, GROW_AFTER_S / 100, GROW_AFTER_S, 5.0)
    for waiting, instances, starting, most in itertools.product((0, 1, 3, 50), counts, counts, (1, 2, 7)):
        for wait, usual in itertools.product(waits, typical):
            yield Snapshot(waiting, wait, usual, instances, starting, most)


def test_never_beyond_max_instances() -> None:
    for now in situations():
        assert 0 <= to_start(now) <= max(0, now.max_instances - now.instances - now.starting)


def test_never_more_than_there_are_calls_without_an_instance_on_its_way() -> None:
    for now in situations():
        assert to_start(now) <= max(0, now.waiting - now.starting)


def test_nothing_for_nobody() -> None:
    for now in situations():
        if not now.waiting:
            assert to_start(now) == 0


def test_the_first_instance_is_asked_for_at_once() -> None:
    for now in situations():
        if now.waiting and not now.instances and not now.starting:
            assert to_start(now) == 1


def test_whoever_is_stuck_gets_another_instance_while_there_may_be_one() -> None:
    for now in situations():
        has_room = now.instances + now.starting < now.max_instances
        if now.waiting and not now.starting and now.oldest_waiting_s >= STUCK_AFTER_S and has_room:
            assert to_start(now) >= 1, now


def test_a_queue_that_is_soon_through_starts_nothing() -> None:
    quick = Snapshot(
        waiting=20, oldest_waiting_s=GROW_AFTER_S, typical_s=GROW_AFTER_S / 100, instances=1, starting=0,
        max_instances=10,
    )  # fmt: skip
    assert to_start(quick) == 0


def test_a_queue_of_long_calls_starts_one_instance_for_each() -> None:
    slow = Snapshot(waiting=6, oldest_waiting_s=0.0, typical_s=1.0, instances=1, starting=2, max_instances=10)
    assert to_start(slow) == 4


@pytest.mark.parametrize("typical_s", [0.0, 1.0])
def test_asking_again_and_again_reaches_the_bound_and_stays(typical_s: float) -> None:
    starting = 0
    for _ in range(20):
        starting += to_start(Snapshot(50, 1.0, typical_s, 0, starting, 7))
    assert starting == 7
