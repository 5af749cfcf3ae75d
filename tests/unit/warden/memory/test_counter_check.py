"""The check of the memory counters against psutil: with made-up numbers, and with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.warden.jail.cgroup_hierarchies import own_places
from supervisor.warden.jail.cgroups import CONTROLLERS, Budget, Cgroups, Leaf
from supervisor.warden.memory import counter_check
from supervisor.warden.memory.counter_check import (
    TOLERANCE_BYTES,
    CheckedCell,
    MappedMemory,
    cells_to_check,
    disagreement,
)
from supervisor.warden.memory.memory_meters import CountedMemory, Meter
from supervisor.warden.memory.process_memory import tree_of
from tests.support.eventually import eventually

MIB = 1 << 20
TOUCHED_MIB = 96
# Touches before it is told where it belongs, or after; children have the same pages, and some of their own.
TOUCHER = """
import os, sys
def touch():
    return b"x" * (%d << 20)
kept = touch() if sys.argv[1] == "before" else None
print("here", flush=True)
input()
kept = kept or touch()
read, write = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        own = b"y" * (8 << 20)
        os.write(write, b"x")
        input()
        os._exit(0)
    os.read(read, 1)
print("touched", flush=True)
input()
"""


@pytest.fixture(scope="module")
def groups() -> Iterator[Cgroups]:
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    v1 = {name: place for name, place in places.items() if name in CONTROLLERS and place.version == 1}
    if set(v1) != set(CONTROLLERS) or os.geteuid() != 0:
        pytest.skip("needs root and the v1 controllers memory, pids and cpu")
    made = Cgroups(f"cellblock-agreement-{os.getpid()}", v1)
    yield made
    made.close()


@pytest.fixture
def leaf(groups: Cgroups) -> Iterator[Leaf]:
    made = groups.leaf("c1")
    yield made
    eventually(made.remove, "something of it goes on")


def counted(mib: int) -> CountedMemory:
    return CountedMemory(mib * MIB, 0, mib * MIB)


@given(st.integers(0, 4096), st.integers(0, 512), st.integers(0, 4096), st.integers(1, 256))
def test_what_is_shared_or_comes_from_the_zygote_is_no_disagreement(
    touched: int, inherited: int, changed: int, processors: int
) -> None:
    own = touched + inherited // 2  # half of it is the zygote's still
    seen = MappedMemory(inherited * MIB, (touched + 2 * inherited) * MIB, own * MIB)
    before, after = sorted((counted(touched), counted(max(0, touched - changed))))
    assert disagreement(before, seen, after, processors) == ""
    assert disagreement(after, seen, before, processors) == ""


def test_too_little_and_too_much_are_told_in_mebibytes() -> None:
    slack = TOLERANCE_BYTES // MIB + 2
    seen = MappedMemory(10 * MIB, 100 * MIB, 100 * MIB)
    assert "counts 0 MiB and its processes have 100" in disagreement(counted(0), seen, counted(0), 1)
    assert disagreement(counted(90 - slack), seen, counted(90 - slack), 1)
    assert not disagreement(counted(90 - slack + 3), seen, counted(0), 1)
    assert "no more than 100" in disagreement(counted(100 + slack), seen, counted(900), 1)
    assert not disagreement(counted(100 + slack), seen, counted(100), 1)


@contextmanager
def toucher(group: Leaf, when: str) -> Iterator[int]:
    """A process and its children in a group, with memory that they touched in it or before."""
    command = [sys.executable, "-S", "-c", TOUCHER % TOUCHED_MIB, when]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        group.limit(Budget(512 * MIB, 16, 0))
        group.join(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "touched\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


def test_processes_that_touched_it_in_their_group_agree_with_its_counters(leaf: Leaf) -> None:
    with toucher(leaf, "after") as pid:
        seen = counter_check.mapped_memory(tree_of(pid))
        assert seen is not None and seen.own > (TOUCHED_MIB + 16) * MIB
        assert seen.mapped > 3 * TOUCHED_MIB * MIB, "each of the three maps it"
        assert counter_check.compare(Meter(leaf.folders), lambda: tree_of(pid)) == ""


def test_control_of_what_they_touched_elsewhere_its_counters_know_nothing(leaf: Leaf) -> None:
    # What the first maps is its zygote's in a cell; so the first one here has next to nothing.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as first, toucher(leaf, "before") as pid:
        said = counter_check.compare(Meter(leaf.folders), lambda: [first.pid, *tree_of(pid)])
        assert said is not None and "its processes have" in said


def test_each_cell_has_its_turn_and_the_largest_is_compared_each_time() -> None:
    cells = [CheckedCell(name, 1, Meter({}), counted) for name, counted in (("c", 0), ("a", 5), ("b", 0))]
    last, seen = "", []
    for _ in range(4):
        names = [cell.name for cell in cells_to_check(cells, last)]
        assert "a" in names
        last = names[0]
        seen.append(last)
    assert seen == ["a", "b", "c", "a"]
    assert cells_to_check([], "a") == []


def test_who_has_ended_is_not_compared(leaf: Leaf) -> None:
    assert counter_check.mapped_memory([]) is None
    assert counter_check.mapped_memory([1 << 23]) is None
    assert counter_check.compare(Meter(leaf.folders), lambda: [1 << 23]) is None
    assert counter_check.compare(Meter({}), lambda: [os.getpid()]) is None
