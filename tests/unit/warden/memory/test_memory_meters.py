"""A leaf's counters and events: v2 files made by hand, and real leaves with a process that takes memory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder, own_places
from supervisor.warden.jail.cgroups import BLANK, CONTROLLERS, Budget, Cgroups, Leaf
from supervisor.warden.memory.memory_meters import CountedMemory, Meter
from tests.support.patience import FACTOR
from tests.unit.warden.conftest import EATER, Eating

MIB = 1 << 20
WAIT_SECONDS = 10.0 * FACTOR


class TestFilesOfV2:
    """Files written by hand."""

    def meter(self, folder: Path, stat: str, usage: str = "4096") -> Meter:
        (folder / "memory.stat").write_text(stat)
        (folder / "memory.current").write_text(usage)
        return Meter({"memory": CgroupFolder(str(folder), 2)})

    def test_what_is_touched_is_told_apart_from_files(self, tmp_path: Path) -> None:
        stat = "anon 1000\nfile 7000\nkernel 30\nshmem 200\nanon_thp 0\n"
        assert self.meter(tmp_path, stat, "8230\n").look() == CountedMemory(1000, 200, 8230)

    def test_one_that_has_ended_has_nothing_to_say(self, tmp_path: Path) -> None:
        meter = Meter({"memory": CgroupFolder(str(tmp_path / "gone"), 2)})
        assert (meter.look(), meter.kills(), meter.most_usage()) == (None, 0, 0)
        assert Meter({}).look() is None
        assert not Meter({}).counts_memory

    def test_the_kernels_kills_and_the_peak(self, tmp_path: Path) -> None:
        (tmp_path / "memory.events").write_text("low 0\nhigh 9\nmax 2\noom 1\noom_kill 3\noom_group_kill 1\n")
        (tmp_path / "memory.peak").write_text("12345\n")
        meter = Meter({"memory": CgroupFolder(str(tmp_path), 2)})
        assert (meter.kills(), meter.most_usage(), meter.is_held()) == (3, 12345, False)

    @pytest.mark.parametrize(("oom", "is_own"), [(0, False), (1, True)])
    def test_a_kill_is_its_own_where_its_own_limit_was_met(
        self, tmp_path: Path, oom: int, is_own: bool
    ) -> None:
        (tmp_path / "memory.events").write_text(f"low 0\nhigh 9\nmax 0\noom {oom}\noom_kill 3\n")
        assert Meter({"memory": CgroupFolder(str(tmp_path), 2)}).has_met_its_limit() is is_own

    def test_slowing_down_is_memory_high(self, tmp_path: Path) -> None:
        (tmp_path / "memory.high").write_text("max")
        Meter({"memory": CgroupFolder(str(tmp_path), 2)}).slow_down_at(5 * MIB)
        assert (tmp_path / "memory.high").read_text().startswith(str(5 * MIB))


@pytest.fixture
def leaf() -> Iterator[Leaf]:
    """A real leaf in v1 hierarchies."""
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    v1 = {name: place for name, place in places.items() if name in CONTROLLERS and place.version == 1}
    if set(v1) != set(CONTROLLERS) or os.geteuid() != 0:
        pytest.skip("needs root and the v1 controllers memory, pids and cpu")
    cgroups = Cgroups(f"cellblock-meters-{os.getpid()}", v1)
    yield cgroups.leaf("c1")
    cgroups.close()


@pytest.fixture
def epoll() -> Iterator[select.epoll]:
    with select.epoll() as made:
        yield made


def test_who_touches_more_than_the_kernel_gives_is_held_heard_and_goes_on_when_that_is_lifted(
    leaf: Leaf, epoll: select.epoll
) -> None:
    meter = Meter(leaf.folders)
    meter.open_events(epoll)
    leaf.limit(Budget(40 * MIB, 4, 0))
    with subprocess.Popen(
        [sys.executable, "-S", "-c", EATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as eater:
        assert eater.stdin and eater.stdout
        leaf.join(eater.pid)
        assert not meter.is_held()
        eater.stdin.write("60\n")
        eater.stdin.flush()
        assert epoll.poll(WAIT_SECONDS) == [(meter.memory_event_fd, select.EPOLLIN)]
        meter.clear_event()
        assert meter.is_held()
        assert not select.select([eater.stdout], [], [], 0.2)[0], "it waits"
        meter.hold_at(100 * MIB)
        assert eater.stdout.readline() == "touched\n"
        counted = meter.look()
        assert counted is not None
        assert 59 * MIB < counted.anonymous < 80 * MIB
        assert counted.usage >= counted.anonymous
        assert meter.kills() == 0
        assert meter.most_usage() >= 59 * MIB
        eater.kill()
    meter.stop_events(epoll)
    meter.close()


def test_a_threshold_rings_before_the_limit_is_reached(leaf: Leaf, epoll: select.epoll) -> None:
    meter = Meter(leaf.folders)
    meter.open_events(epoll)
    leaf.limit(Budget(200 * MIB, 4, 0))
    meter.wake_at(60 * MIB)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", EATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as eater:
        assert eater.stdin and eater.stdout
        leaf.join(eater.pid)
        eater.stdin.write("20\n80\n")
        eater.stdin.flush()
        assert eater.stdout.readline() == "touched\n"
        assert epoll.poll(WAIT_SECONDS) == [(meter.memory_event_fd, select.EPOLLIN)]
        assert not meter.is_held()
        assert eater.stdout.readline() == "touched\n"
        eater.stdin.close()
        eater.wait(WAIT_SECONDS)
    meter.clear_event()
    meter.disarm(epoll)
    assert epoll.poll(0) == []
    meter.stop_events(epoll)
    meter.close()


def test_a_process_that_is_refused_is_counted(leaf: Leaf, epoll: select.epoll) -> None:
    meter = Meter(leaf.folders)
    meter.open_events(epoll)
    leaf.limit(BLANK)
    leaf.limit(Budget(100 * MIB, 1, 0))
    assert not meter.has_met_pids_limit()
    program = (
        "import os\ninput()\ntry:\n    [os.fork() or os.read(0, 1) for _ in range(9)]\nexcept OSError: pass"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, text=True) as forker:
        assert forker.stdin
        leaf.join(forker.pid)
        forker.stdin.write("go\n")
        forker.stdin.close()
        forker.wait(WAIT_SECONDS)
    assert meter.has_met_pids_limit()
    meter.stop_events(epoll)
    meter.close()


# ---- the same of v2 -------------------------------------------------------------------------


def test_on_v2_who_takes_more_than_it_may_without_being_slower_is_heard_and_goes_on(
    unified: Cgroups, epoll: select.epoll, eating: Eating
) -> None:
    leaf = unified.leaf("c1")
    meter = Meter(leaf.folders)
    meter.open_events(epoll)
    leaf.limit(Budget(200 * MIB, 4, 0))
    meter.slow_down_at(60 * MIB)
    eater = eating(leaf)
    eater.touch(20)
    assert eater.answer() == "touched\n"
    assert epoll.poll(0) == []
    eater.touch(80)
    ((memory_event_fd, kinds),) = epoll.poll(WAIT_SECONDS)
    assert memory_event_fd == meter.memory_event_fd
    assert kinds & select.EPOLLPRI
    assert not meter.is_held()
    meter.slow_down_at(190 * MIB)
    assert eater.answer() == "touched\n"
    counted = meter.look()
    assert counted is not None
    assert 79 * MIB < counted.anonymous < 110 * MIB
    assert (meter.kills(), meter.has_met_its_limit()) == (0, False)
    meter.clear_event()
    assert epoll.poll(0) == []
    meter.stop_events(epoll)
    meter.close()


def test_on_v2_who_meets_the_limit_of_its_leaf_ends_with_all_that_is_in_it(
    unified: Cgroups, epoll: select.epoll, eating: Eating
) -> None:
    leaf = unified.leaf("c1")
    meter = Meter(leaf.folders)
    meter.open_events(epoll)
    leaf.limit(Budget(40 * MIB, 4, 0))
    eater, bystander = eating(leaf), eating(leaf)
    eater.touch(80)
    assert (eater.answer(), bystander.answer()) == ("", "")
    assert (eater.end(), bystander.end()) == (-signal.SIGKILL, -signal.SIGKILL)
    assert [memory_event_fd for memory_event_fd, _ in epoll.poll(WAIT_SECONDS)] == [meter.memory_event_fd]
    assert meter.kills() >= 1
    assert meter.has_met_its_limit()
    assert 30 * MIB < meter.most_usage() <= 40 * MIB
    meter.stop_events(epoll)
    meter.close()


def test_on_v2_who_is_ended_for_all_leaves_together_has_not_met_its_own_limit(
    unified: Cgroups, eating: Eating
) -> None:
    leaf, other = unified.leaf("c1"), unified.leaf("c2")
    meters = [Meter(each.folders) for each in (leaf, other)]
    for each in (leaf, other):
        each.limit(Budget(200 * MIB, 4, 0))
    unified.limit_all_cells(100, 60 * MIB)
    eater, bystander = eating(leaf), eating(other)
    bystander.touch(1)
    assert bystander.answer() == "touched\n"
    eater.touch(100)
    assert eater.answer() == ""
    assert eater.end() == -signal.SIGKILL
    assert [meter.kills() > 0 for meter in meters] == [True, False]
    assert not any(meter.has_met_its_limit() for meter in meters)
    bystander.touch(2)
    assert bystander.answer() == "touched\n"


def test_on_v2_a_process_that_is_refused_is_heard(unified: Cgroups, epoll: select.epoll) -> None:
    leaf = unified.leaf("c1")
    meter = Meter(leaf.folders)
    meter.open_events(epoll)
    leaf.limit(Budget(100 * MIB, 1, 0))
    program = (
        "import os\ninput()\ntry:\n    [os.fork() or os.read(0, 1) for _ in range(9)]\nexcept OSError: pass"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, text=True) as forker:
        assert forker.stdin
        leaf.join(forker.pid)
        forker.stdin.write("go\n")
        forker.stdin.close()
        forker.wait(WAIT_SECONDS)
    assert [memory_event_fd for memory_event_fd, _ in epoll.poll(WAIT_SECONDS)] == [meter.pids_event_fd]
    assert meter.has_met_pids_limit()
    meter.stop_events(epoll)
    meter.close()
