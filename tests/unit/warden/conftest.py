"""A group of the test's own in the unified hierarchy, and processes that take memory in its leaves."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from supervisor.warden.jail.cgroup_hierarchies import own_places
from supervisor.warden.jail.cgroups import Cgroups, Leaf

# Pure decisions, with whatever values come to mind: none of them fails by the clock of a busy machine.
settings.register_profile("without-a-clock", deadline=None)
settings.load_profile("without-a-clock")

# Waits until it may, then touches so many MiB and says so.
EATER = """
import sys
for _ in range(2):
    kept = b"x" * (int(input()) << 20)
    print("touched", flush=True)
"""


@pytest.fixture
def unified() -> Iterator[Cgroups]:
    """A group of the test's own in v2, with the controllers."""
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    cgroups = Cgroups(f"cellblock-unified-{os.getpid()}", {"": places[""]} if "" in places else {})
    if cgroups.missing:
        cgroups.close()
        pytest.skip(f"needs the controllers of cgroup v2: {cgroups.missing}")
    yield cgroups
    cgroups.close()


class Eater:
    """A process in a leaf that touches memory when it is told to."""

    def __init__(self, leaf: Leaf) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", EATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        leaf.join(self.process.pid)

    def touch(self, mib: int) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{mib}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Its answer once it has touched the memory; empty if it was killed."""
        assert self.process.stdout
        return self.process.stdout.readline()

    def end(self) -> int:
        """Kill it, unless it has ended.  Returns its exit code."""
        self.process.kill()
        with self.process:
            return self.process.wait()


Eating = Callable[[Leaf], Eater]


@pytest.fixture
def eating(unified: Cgroups) -> Iterator[Eating]:
    """``eating(leaf)`` starts an eater, which ends before its leaf is removed."""
    with contextlib.ExitStack() as stack:

        def begin(leaf: Leaf) -> Eater:
            eater = Eater(leaf)
            stack.callback(eater.end)
            return eater

        yield begin
