"""What is decided about a cell's memory, and what is read of its processes."""

from __future__ import annotations

import mmap
import os

from hypothesis import given
from hypothesis import strategies as st

from supervisor.warden.memory import cell_memory_policy as policy
from supervisor.warden.memory import process_memory
from supervisor.warden.memory.cell_memory_policy import (
    AGAIN_BYTES,
    HEARING_S,
    LOOK_EVERY_S,
    LOOK_SELDOM_S,
    LOOK_SOON_S,
    SLACK_BYTES,
    MemoryVerdict,
    ProcessMemory,
    WatchedCell,
)
from tests.support.eventually import eventually

MIB = 1 << 20
LIMIT = 100 * MIB
BASE = ProcessMemory(60 * MIB, 5 * MIB)
sizes = st.integers(0, 1 << 40)


def begun(is_counted: bool = True) -> WatchedCell:
    return policy.begin(LIMIT, 0.0, is_counted)


def with_mib(mebibytes: float, now: float = 1.0, watched: WatchedCell | None = None) -> WatchedCell:
    return policy.after_look(watched or begun(), int(mebibytes * MIB), now)


def test_files_in_tmp_and_what_the_blank_cell_had_are_not_the_functions() -> None:
    assert policy.used_by_counters(90, 30, in_tmp=20, base=10) == 90
    assert policy.used_by_counters(90, 30, in_tmp=50, base=10) == 80  # deleted since it was counted
    assert policy.used_by_counters(5, 0, in_tmp=0, base=10) == 0


def test_where_processes_are_read_what_is_shared_with_the_zygote_is_not_the_functions() -> None:
    assert policy.used_by_look(ProcessMemory(140 * MIB, None), BASE, LIMIT) == 80 * MIB
    assert policy.used_by_look(ProcessMemory(900 * MIB, 90 * MIB), BASE, LIMIT) == 85 * MIB


@given(sizes)
def test_proportional_bytes_are_asked_for_whenever_they_could_be_too_many(resident_bytes: int) -> None:
    if resident_bytes <= policy.suspicious_from(BASE, LIMIT):
        used = policy.used_by_look(ProcessMemory(resident_bytes, None), BASE, LIMIT)
        assert policy.verdict(policy.after_look(begun(), used, 1.0), 1.0) is MemoryVerdict.FINE


@given(st.lists(sizes, max_size=10))
def test_the_peak_is_the_most_that_it_used(looks: list[int]) -> None:
    watched = begun()
    for number, used in enumerate(looks):
        watched = policy.after_look(watched, used, float(number))
    assert watched.peak == max([0, *looks])


def test_at_its_limit_it_is_told_once_and_again_only_if_it_takes_more() -> None:
    assert policy.verdict(with_mib(100), 1.0) is MemoryVerdict.FINE
    over = with_mib(101)
    assert policy.verdict(over, 1.0) is MemoryVerdict.TELL
    told = policy.told(over, 1.0)
    assert told.has_met
    assert (
        policy.verdict(with_mib(104, 1.1, told), 9.0) is MemoryVerdict.FINE
    )  # it has caught it, and goes on
    more = 101 + AGAIN_BYTES / MIB
    assert policy.verdict(with_mib(more, 1.2, told), 1.2) is MemoryVerdict.TELL
    before_it_heard = with_mib(more, 1.01, told)
    assert policy.verdict(with_mib(more + 1, 1.2, before_it_heard), 1.2) is MemoryVerdict.FINE


def test_who_gave_memory_back_is_told_anew_at_the_next_time() -> None:
    told = policy.told(with_mib(101), 1.0)
    again = with_mib(101, 3.0, with_mib(60, 2.0, told))
    assert policy.verdict(again, 3.0) is MemoryVerdict.TELL


def test_above_the_slack_it_is_ended_unless_it_was_told_a_moment_ago() -> None:
    far = LIMIT + SLACK_BYTES + MIB
    at_once = policy.after_look(begun(), far, 1.0)
    assert policy.verdict(at_once, 1.0) is MemoryVerdict.TELL  # nobody could hear yet
    told = policy.told(at_once, 1.0)
    assert policy.verdict(told, 1.0 + HEARING_S / 2) is MemoryVerdict.FINE
    assert policy.verdict(told, 1.01 + HEARING_S) is MemoryVerdict.KILL


def test_who_is_held_by_the_kernel_hears_it_and_goes_on_once_and_who_holds_other_things_is_ended() -> None:
    held = with_mib(140)
    assert policy.verdict_when_held(held, False, 1.0) is MemoryVerdict.TELL
    told = policy.told(held, 1.0)
    assert policy.verdict_when_held(told, False, 1.0 + HEARING_S / 2) is MemoryVerdict.FINE
    assert policy.verdict_when_held(told, False, 1.01 + HEARING_S) is MemoryVerdict.TELL
    assert policy.verdict_when_held(told, True, 1.0) is MemoryVerdict.KILL
    assert policy.verdict_when_held(with_mib(90), False, 1.0) is MemoryVerdict.KILL


@given(st.integers(0, LIMIT), st.floats(0, 1e6))
def test_a_function_within_its_limit_is_never_told_and_never_ended(used: int, now: float) -> None:
    assert policy.verdict(policy.after_look(begun(), used, now), now) is MemoryVerdict.FINE


@given(st.integers(0, 2 * LIMIT))
def test_no_process_takes_the_room_that_is_left_before_the_next_look(used: int) -> None:
    watched = begun()._replace(used=2 * LIMIT)
    seen = policy.after_look(watched, used, 10.0)
    if seen.has_met or abs(used - 2 * LIMIT) <= LIMIT >> 8:
        return
    pause = seen.next_look - 10.0
    assert pause + 1e-9 >= LOOK_SOON_S and pause <= LOOK_EVERY_S + 1e-9
    room = max(0, LIMIT - used)
    assert pause <= max(LOOK_SOON_S, room / policy.FASTEST_BYTES_PER_S) + 1e-9


def test_a_cell_that_does_not_change_is_looked_at_less_and_less_and_at_once_again_when_it_does() -> None:
    watched = policy.after_look(begun(is_counted=False), 10 * MIB, 0.0)
    waits = [watched.next_look]
    for _ in range(4):
        now = watched.next_look
        watched = policy.after_look(watched, 10 * MIB, now)
        waits.append(watched.next_look - now)
    assert waits == [LOOK_EVERY_S, 0.5, 1.0, LOOK_SELDOM_S, LOOK_SELDOM_S]
    assert policy.after_look(watched, 12 * MIB, 9.0).next_look == 9.0 + LOOK_EVERY_S


def test_a_front_hears_of_a_peak_in_a_bounded_number_of_steps() -> None:
    told = heard = 0
    for peak in range(0, LIMIT + 1, MIB // 4):
        if policy.is_news(peak, told, LIMIT):
            told, heard = peak, heard + 1
    assert policy.PEAK_STEPS - 1 <= heard <= policy.PEAK_STEPS


def test_an_event_that_comes_again_and_again_is_heard_60_times_a_second() -> None:
    patience = 0.0
    for _ in range(10):
        patience = policy.next_event_wait(patience)
    assert patience == policy.EVENT_MOST_S
    assert policy.next_event_wait(0.0) == policy.EVENT_LEAST_S


def test_a_process_and_its_children_are_counted_and_what_they_share_once() -> None:
    pid = os.getpid()
    with mmap.mmap(-1, 64 * MIB) as shared:
        shared.write(b"x" * (64 * MIB))
        alone = process_memory.look(pid, -1)
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
                look = process_memory.look(pid, -1)
                assert look.proportional is not None and alone.proportional is not None
                both.append(look.proportional - alone.proportional)
                return both[-1] > 31 * MIB

            both: list[int] = []
            eventually(has_grown)
            assert both[-1] < 60 * MIB, "what they share counts once"
            assert child in process_memory.tree_of(pid)
        finally:
            os.close(write)
            os.waitpid(child, 0)
    assert child not in process_memory.tree_of(pid)


def test_one_that_has_ended_counts_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert process_memory.look(child, -1) == ProcessMemory(0, 0)
