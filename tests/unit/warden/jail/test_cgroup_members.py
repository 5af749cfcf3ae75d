"""A cell's processes are killed one by one: those of its pid namespace and no others."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from supervisor.warden.jail import cgroup_members
from tests.support.eventually import eventually
from tests.support.processes import children_of

NEVER = 4_194_303  # above the highest number that a kernel gives by default


def asleep() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


def test_those_of_the_same_namespace_are_ended_but_not_the_first() -> None:
    first, others = asleep(), [asleep(), asleep()]
    try:
        cgroup_members.kill(first.pid, [NEVER, first.pid, *(other.pid for other in others)])
        assert [other.wait(10) for other in others] == [-signal.SIGKILL] * 2
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()


@pytest.mark.needs_root
def test_a_number_that_is_another_namespaces_by_now_is_left_alone() -> None:
    innocent = asleep()
    cell = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "60"])
    try:
        eventually(lambda: bool(children_of(cell.pid)))
        (first,) = children_of(cell.pid)
        cgroup_members.kill(first, [innocent.pid])
        assert innocent.poll() is None
        cgroup_members.kill(os.getpid(), [first])
        assert children_of(cell.pid) == [first]
    finally:
        for process in (innocent, cell):
            process.kill()
            process.wait()


def test_of_one_that_is_gone_nothing_is_ended() -> None:
    gone, other = asleep(), asleep()
    gone.kill()
    gone.wait()
    cgroup_members.kill(gone.pid, [other.pid])
    assert other.poll() is None
    other.kill()
    other.wait()
