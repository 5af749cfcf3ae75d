"""The memory guard, and the release of a leaf's pages, on real cgroup v2 groups without a server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from supervisor.warden.jail.cgroups import Budget, Cgroups, Leaf
from supervisor.warden.memory.cell_memory_policy import LIFT_BYTES, kernel_bytes
from supervisor.warden.memory.memory_guard import Excess, GuardHooks, MemoryGuard
from supervisor.warden.memory.memory_meters import Meter
from tests.support.eventually import became, eventually
from tests.support.patience import FACTOR
from tests.unit.warden.conftest import Eater, Eating

MIB = 1 << 20
WAIT_SECONDS = 20.0 * FACTOR
# Evicts a page of a file, and is the first to read it then.
READER = """
import os, sys
input()
descriptor = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
os.pread(descriptor, 1 << 16, 0)
"""
# That nobody else reads just now.
FILE = Path(os.__file__).with_name("turtle.py")
READERS = 5
# A group that is to stay has been seen to for so long.
STAYS_SECONDS = 1.0


async def guarded(leaf: Leaf, eater: Eater, limit_mib: int, mib: int) -> tuple[list[int], Excess]:
    """The peaks that the guard told of, and why it killed, when the eater takes this much."""
    told: list[int] = []
    ended: asyncio.Future[Excess] = asyncio.get_running_loop().create_future()

    def kill(_: int, excess: Excess) -> None:
        leaf.kill()
        ended.set_result(excess)

    guard = MemoryGuard(is_counted=True, has_namespaces=False)
    guard.blank("c1", eater.process.pid, Meter(leaf.folders))
    guard.watch("c1", limit_mib * MIB, 0, GuardHooks(on_tell=told.append, on_kill=kill))
    eater.touch(mib)
    try:
        return told, await asyncio.wait_for(ended, WAIT_SECONDS)
    finally:
        guard.forget("c1")


def test_who_touches_more_than_its_limit_is_told_and_then_ended(unified: Cgroups, eating: Eating) -> None:
    leaf, most = unified.leaf("c1"), kernel_bytes(64 * MIB, 0)
    leaf.limit(Budget(most, 4, 0))
    told, excess = asyncio.run(guarded(leaf, eating(leaf), 64, 400))
    assert told
    assert told[0] > 64 * MIB
    assert excess in (Excess.TOUCHED, Excess.HELD)
    assert 64 * MIB < Meter(leaf.folders).most_usage() <= most + LIFT_BYTES


def test_who_is_ended_for_all_together_was_told_nothing(unified: Cgroups, eating: Eating) -> None:
    leaf = unified.leaf("c1")
    leaf.limit(Budget(kernel_bytes(300 * MIB, 0), 4, 0))
    unified.limit_all_cells(100, 60 * MIB)
    assert asyncio.run(guarded(leaf, eating(leaf), 300, 200)) == ([], Excess.OF_ALL)


def dying(unified: Cgroups) -> int:
    """How many removed groups the kernel still keeps."""
    for line in (Path(unified.unified) / "cgroup.stat").read_text().splitlines():
        if line.startswith("nr_dying_descendants "):
            return int(line.split()[1])
    raise AssertionError("the kernel does not count them")


def read_and_removed(unified: Cgroups, number: int, gives_up: bool) -> None:
    leaf = unified.leaf(f"c{number}")
    command = [sys.executable, "-S", "-c", READER, str(FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as reader:
        assert reader.stdin
        leaf.join(reader.pid)
        reader.stdin.write("go\n")
        reader.stdin.close()
        assert reader.wait(WAIT_SECONDS) == 0
    if gives_up:
        leaf.release_pages()
    eventually(leaf.remove)


def test_a_leaf_that_gave_up_its_pages_is_gone_when_it_is_removed(unified: Cgroups) -> None:
    for number in range(READERS):
        read_and_removed(unified, number, gives_up=True)
    eventually(lambda: dying(unified) == 0)


def test_control_what_it_keeps_keeps_it(unified: Cgroups) -> None:
    read_and_removed(unified, 0, gives_up=False)
    assert not became(lambda: dying(unified) != 1, STAYS_SECONDS * FACTOR)
