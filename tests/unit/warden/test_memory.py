"""The memory of cells that no cgroup counts: what is decided, and what is read."""

from __future__ import annotations

import mmap
import os

from hypothesis import given
from hypothesis import strategies as st

from supervisor.warden import memory
from supervisor.warden.jail import resident
from supervisor.warden.memory import LOOK_EVERY_S, LOOK_SELDOM_S, Look
from tests.support.eventually import eventually

MIB = 1 << 20
BASE = Look(60 * MIB, 5 * MIB)
sizes = st.integers(0, 1 << 40)


def begun(limit_mib: int = 100) -> memory.Watched:
    return memory.begin(limit_mib * MIB, BASE, now=0.0)


def test_what_it_had_before_its_function_is_not_counted() -> None:
    seen = memory.after_look(begun(), Look(140 * MIB, None), now=1.0)
    assert (seen.used, seen.is_over) == (80 * MIB, False)
    over = memory.after_look(begun(), Look(300 * MIB, 106 * MIB), now=1.0)
    assert (over.used, over.peak, over.is_over) == (101 * MIB, 101 * MIB, True)


def test_much_that_is_shared_with_the_zygote_or_among_its_own_is_no_reason_to_end_it() -> None:
    assert not memory.after_look(begun(), Look(900 * MIB, 90 * MIB), now=1.0).is_over


@given(sizes, sizes, st.integers(1, 1 << 20))
def test_proportional_bytes_are_asked_for_whenever_they_could_be_too_many(
    resident_bytes: int, part: int, limit_mib: int
) -> None:
    watched = memory.begin(limit_mib * MIB, Look(60 * MIB, 0), now=0.0)
    if resident_bytes <= watched.suspicious_from:
        assert not memory.after_look(watched, Look(resident_bytes, None), 1.0).is_over
    exact = memory.after_look(watched, Look(resident_bytes, min(part, resident_bytes)), 1.0)
    assert exact.is_over == (min(part, resident_bytes) > limit_mib * MIB)


@given(st.lists(st.tuples(sizes, sizes), max_size=10))
def test_the_peak_is_the_most_that_it_used(looks: list[tuple[int, int]]) -> None:
    watched = begun()
    for number, look in enumerate(looks):
        before = watched.peak
        watched = memory.after_look(watched, Look(*look), float(number))
        assert watched.peak == max(before, watched.used)


def test_a_cell_that_does_not_change_is_looked_at_less_and_less_and_at_once_again_when_it_does() -> None:
    watched, now = begun(), 0.0
    waits = []
    for _ in range(6):
        now = watched.next_look
        assert memory.is_due(watched, now) and not memory.is_due(watched, now - 0.01)
        watched = memory.after_look(watched, Look(70 * MIB, None), now)
        waits.append(watched.next_look - now)
    assert waits == [LOOK_EVERY_S, 0.5, 1.0, LOOK_SELDOM_S, LOOK_SELDOM_S, LOOK_SELDOM_S]
    watched = memory.after_look(watched, Look(71 * MIB, None), now)
    assert watched.next_look == now + LOOK_EVERY_S


def test_a_frozen_cell_is_not_looked_at_until_it_goes_on() -> None:
    still = memory.frozen(begun(), True, now=1.0)
    assert not memory.is_due(still, now=100.0)
    assert memory.is_due(memory.frozen(still, False, now=100.0), now=100.0 + LOOK_EVERY_S)


def test_a_process_and_its_children_are_counted_and_what_they_share_once() -> None:
    pid = os.getpid()
    with mmap.mmap(-1, 64 * MIB) as shared:
        shared.write(b"x" * (64 * MIB))
        alone = resident.look(pid, -1)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            touched = sum(shared[:: mmap.PAGESIZE])
            own = bytearray(32 * MIB)  # a copy of something as large would be there for a moment too
            own[:: mmap.PAGESIZE] = b"y" * (len(own) // mmap.PAGESIZE)
            os.read(read, 1)
            os._exit(touched + len(own) == 0)
        os.close(read)
        try:

            def has_grown() -> bool:
                look = resident.look(pid, -1)
                assert look.proportional is not None and alone.proportional is not None
                both.append(look.proportional - alone.proportional)
                return both[-1] > 31 * MIB

            both: list[int] = []
            eventually(has_grown)
            assert both[-1] < 60 * MIB, "what they share counts once"
            assert child in resident.tree_of(pid)
        finally:
            os.close(write)
            os.waitpid(child, 0)
    assert child not in resident.tree_of(pid)


def test_one_that_has_ended_counts_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert resident.look(child, -1) == Look(0, 0)
