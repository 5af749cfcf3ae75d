"""Cgroups: our place, and what is written in which order, on a folder tree and on a real v1 leaf."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.warden.jail import cgroup_hierarchies, cgroups
from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder, own_places
from supervisor.warden.jail.cgroups import (
    BLANK,
    BLANK_GROUP_BYTES,
    BLANK_PROCESSES,
    CONTROLLERS,
    CPU_QUOTA_LEAST_US,
    FREEZER,
    OWN_PROCESSES,
    Budget,
    Cgroups,
    Leaf,
)

WAIT_SECONDS = 10.0
V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNTS = """31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
35 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd"""


class TestWhereWeAre:
    """``own_places`` is a function of two texts."""

    def test_on_a_v2_host_the_unified_hierarchy_has_our_group(self) -> None:
        places = own_places("0::/system.slice/cellblock.service\n", V2_MOUNT)
        assert places == {"": CgroupFolder("/sys/fs/cgroup/system.slice/cellblock.service", 2)}

    def test_at_the_root_of_a_hierarchy_the_path_has_no_slash_at_its_end(self) -> None:
        assert own_places("0::/\n", V2_MOUNT) == {"": CgroupFolder("/sys/fs/cgroup", 2)}

    def test_on_a_v1_host_each_controller_has_a_place_of_its_own(self) -> None:
        groups = "5:cpu,cpuacct:/a\n4:memory:/b/c\n3:pids:/\n1:name=systemd:/user.slice\n"
        places = own_places(groups, V1_MOUNTS)
        assert places["cpu"] == places["cpuacct"] == CgroupFolder("/sys/fs/cgroup/cpu,cpuacct/a", 1)
        assert places["memory"] == CgroupFolder("/sys/fs/cgroup/memory/b/c", 1)
        assert places["pids"] == CgroupFolder("/sys/fs/cgroup/pids", 1)
        assert "" not in places

    def test_on_a_hybrid_host_both_versions_are_found(self) -> None:
        unified = "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
        places = own_places("4:memory:/m\n0::/u\n", f"{V1_MOUNTS}\n{unified}")
        assert places == {
            "memory": CgroupFolder("/sys/fs/cgroup/memory/m", 1),
            "": CgroupFolder("/sys/fs/cgroup/unified/u", 2),
        }

    def test_a_hierarchy_that_is_not_mounted_gives_no_place(self) -> None:
        assert own_places("4:memory:/m\n9:hugetlb:/\n0::/u\n", V1_MOUNTS.partition("\n34")[0]) == {
            "memory": CgroupFolder("/sys/fs/cgroup/memory/m", 1)
        }

    def test_in_a_container_what_is_above_the_mount_is_cut_off(self) -> None:
        mount = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw"
        assert own_places("0::/docker/abc\n", mount) == {"": CgroupFolder("/sys/fs/cgroup", 2)}
        assert own_places("0::/docker/abc/in\n", mount) == {"": CgroupFolder("/sys/fs/cgroup/in", 2)}

    def test_in_a_cgroup_namespace_both_are_roots(self) -> None:
        assert own_places("0::/\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw") == {
            "": CgroupFolder("/sys/fs/cgroup", 2)
        }

    @pytest.mark.parametrize("mounts", ["", "nonsense", "1 2 3", "a b c d e - cgroup2", "\n\n"])
    def test_lines_that_are_no_cgroup_mounts_are_passed_over(self, mounts: str) -> None:
        assert own_places("0::/\n4:memory:/\n", mounts) == {}

    def test_of_this_host_every_place_is_a_folder(self) -> None:
        places = own_places(
            Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
        )  # fmt: skip
        assert all(Path(place.path).is_dir() for place in places.values())


class TestSettings:
    """What is to be written for a budget; nothing is written."""

    BUDGET = Budget(64 << 20, 8, 0.5)

    def test_pids_has_room_for_the_process_that_is_ours(self) -> None:
        for version in (1, 2):
            assert cgroups.settings_of("pids", version, self.BUDGET) == [("pids.max", str(8 + OWN_PROCESSES))]

    def test_v2_memory_has_no_swap_and_ends_as_a_whole(self) -> None:
        assert dict(cgroups.settings_of("memory", 2, self.BUDGET)) == {
            "memory.max": str(64 << 20), "memory.swap.max": "0", "memory.oom.group": "1",
        }  # fmt: skip

    def test_v1_memory_goes_down_and_up_without_the_two_limits_ever_crossing(self) -> None:
        files = [name for name, _ in cgroups.settings_of("memory", 1, self.BUDGET)]
        assert files == [
            "memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
        ]  # fmt: skip
        assert cgroups.settings_of("memory", 1, self.BUDGET)[0][1] == "-1"

    @pytest.mark.parametrize(
        ("cpu", "quota"), [(0.5, "50000"), (2, "200000"), (0.001, str(CPU_QUOTA_LEAST_US)), (0, "")]
    )
    def test_cpu_is_a_quota_of_a_period_and_zero_is_none(self, cpu: float, quota: str) -> None:
        budget = Budget(1 << 20, 1, cpu)
        assert cgroups.settings_of("cpu", 2, budget) == [("cpu.max", f"{quota or 'max'} 100000")]
        assert cgroups.settings_of("cpu", 1, budget) == [("cpu.cfs_quota_us", quota or "-1")]

    def test_a_new_group_has_the_period_that_quotas_are_made_for(self) -> None:
        place = cgroup_hierarchies.read_own_places().get("cpu")
        if place is None or place.version != 1:
            pytest.skip("needs the cpu controller of cgroup v1")
        assert Path(place.path, "cpu.cfs_period_us").read_text().strip() == str(cgroups.CPU_PERIOD_US)

    def test_a_blank_cell_gets_what_a_new_group_has_not(self) -> None:
        assert cgroups.settings_of_blank("cpu", 1) == cgroups.settings_of_blank("cpu", 2) == []
        assert cgroups.settings_of_blank("pids", 1) == [("pids.max", str(BLANK_PROCESSES + OWN_PROCESSES))]
        assert cgroups.settings_of_blank("memory", 1) == [("memory.limit_in_bytes", str(BLANK_GROUP_BYTES))]
        assert cgroups.settings_of_blank("memory", 2) == cgroups.settings_of("memory", 2, BLANK)


V2_FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max", "cgroup.procs",
            "cgroup.kill", "cgroup.subtree_control")  # fmt: skip


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Records each write, in order, as (path, text), and carries it out."""
    seen: list[tuple[str, str]] = []
    write = cgroup_hierarchies.write

    def note(path: str, text: str) -> None:
        write(path, text)
        seen.append((path, text))

    monkeypatch.setattr(cgroups, "write", note)
    monkeypatch.setattr(cgroup_hierarchies, "write", note)
    return seen


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder that looks like a delegated v2 group in which the server is alone."""
    group = tmp_path / "unit"
    group.mkdir()
    (group / "cgroup.controllers").write_text("cpu memory pids\n")
    (group / "cgroup.subtree_control").write_text("")
    (group / "cgroup.type").write_text("domain\n")
    (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
    for inner in ("server", "cells"):
        (group / inner).mkdir()
        for name in V2_FILES:
            (group / inner / name).write_text("")
    return group


def made_leaf(own: Path, name: str = "c1") -> Leaf:
    """A leaf whose files are there, as the kernel would have made them."""
    folder = own / "cells" / name
    folder.mkdir()
    for file in V2_FILES:
        (folder / file).write_text("")
    return Leaf({controller: CgroupFolder(str(folder), 2) for controller in CONTROLLERS})


class TestOnAFolderTree:
    """The order of the writes, on plain folders, where the kernel refuses nothing."""

    def test_the_server_moves_out_of_the_way_before_it_hands_down(
        self, own: Path, written: list[tuple[str, str]]
    ) -> None:
        made = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        assert made.versions == {"memory": 2, "pids": 2, "cpu": 2}
        assert set(made.missing) == {FREEZER}  # no kernel, no cgroup.freeze
        first = [(path.removeprefix(f"{own}/"), text) for path, text in written[:3]]
        assert first == [
            ("server/cgroup.procs", str(os.getpid())),
            ("cgroup.subtree_control", "+memory"),
            ("cells/cgroup.subtree_control", "+memory"),
        ]
        assert {path for path, _ in written} == {
            f"{own}/{name}"
            for name in ("server/cgroup.procs", "cgroup.subtree_control", "cells/cgroup.subtree_control")
        }

    def test_nothing_moves_where_the_controllers_are_handed_down_already(
        self, own: Path, written: list[tuple[str, str]]
    ) -> None:
        (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
        Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        assert all(path == f"{own}/cells/cgroup.subtree_control" for path, _ in written)

    def test_in_the_root_group_of_a_host_nothing_is_written(
        self, own: Path, written: list[tuple[str, str]]
    ) -> None:
        (own / "cgroup.type").unlink()
        made = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        assert made.versions == {}
        assert all("delegated" in made.missing[name] for name in CONTROLLERS)
        assert written == []

    def test_in_a_group_with_others_nothing_is_written(
        self, own: Path, written: list[tuple[str, str]]
    ) -> None:
        (own / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")
        made = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        assert all("other processes" in made.missing[name] for name in CONTROLLERS)
        assert written == []

    def test_warming_up_says_only_where_the_server_is_already(
        self, own: Path, written: list[tuple[str, str]]
    ) -> None:
        moved = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
        written.clear()
        moved.warm_up()
        assert written == [(f"{own}/server/cgroup.procs", str(os.getpid()))]
        # Another's group of that name is no place of ours.
        (own / "server/cgroup.procs").write_text("1\n")
        stayed = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        written.clear()
        stayed.warm_up()
        assert written == [(f"{own}/cgroup.procs", str(os.getpid()))]

    def test_without_groups_there_is_nothing_to_warm_up(self, written: list[tuple[str, str]]) -> None:
        Cgroups("cells", {}).warm_up()
        assert written == []

    def test_a_controller_that_was_not_delegated_is_missing_and_the_others_are_not(self, own: Path) -> None:
        (own / "cgroup.controllers").write_text("memory pids\n")
        made = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        assert made.versions == {"memory": 2, "pids": 2}
        assert "not available" in made.missing["cpu"]

    def test_without_any_hierarchy_every_controller_is_missing_and_a_leaf_is_nothing(self) -> None:
        made = Cgroups("cells", {})
        assert set(made.missing) == {*CONTROLLERS, FREEZER}
        leaf = made.leaf("c1")
        leaf.limit(BLANK)
        leaf.join(os.getpid())
        leaf.kill()
        assert leaf.remove()

    def test_a_leaf_has_its_limits_in_every_file(self, own: Path) -> None:
        leaf = made_leaf(own)
        leaf.limit(Budget(64 << 20, 8, 0.5))
        folder = own / "cells/c1"
        assert (folder / "memory.max").read_text() == str(64 << 20)
        assert (folder / "memory.oom.group").read_text() == "1"
        assert (folder / "pids.max").read_text() == "9"
        assert (folder / "cpu.max").read_text() == "50000 100000"

    @pytest.mark.parametrize("file", ["memory.swap.max", "memory.oom.group"])
    def test_a_file_that_some_kernels_lack_may_be_absent(self, own: Path, file: str) -> None:
        leaf = made_leaf(own)
        (own / "cells/c1" / file).unlink()
        leaf.limit(BLANK)
        assert not (own / "cells/c1" / file).exists(), "written, never created"

    @pytest.mark.parametrize("file", ["memory.max", "pids.max", "cpu.max"])
    def test_a_limit_that_cannot_be_set_is_no_leaf(self, own: Path, file: str) -> None:
        leaf = made_leaf(own)
        (own / "cells/c1" / file).unlink()
        with pytest.raises(FileNotFoundError):
            leaf.limit(BLANK)

    def test_a_leaf_whose_limits_cannot_be_set_is_taken_away_again(self, own: Path) -> None:
        made = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        with pytest.raises(FileNotFoundError):
            made.leaf("c2")  # a plain folder has no limits to write
        assert not (own / "cells/c2").exists()

    def test_a_process_that_is_not_in_the_leaf_after_all_is_an_error(self, own: Path) -> None:
        leaf = made_leaf(own)
        with pytest.raises(ProcessLookupError):
            leaf.join(os.getpid())  # the kernel knows nothing of this folder
        assert (own / "cells/c1/cgroup.procs").read_text() == str(os.getpid())

    def test_killing_ends_the_group_and_lets_nothing_keep_it_from_the_processor(self, own: Path) -> None:
        leaf = made_leaf(own)
        leaf.kill()
        folder = own / "cells/c1"
        assert (folder / "cgroup.kill").read_text() == "1"
        assert (folder / "cpu.max").read_text() == "max 100000"
        assert leaf.processes() == [], "there is no need to name them"

    def test_an_ended_leaf_gives_up_as_much_as_it_has_and_one_with_processes_nothing(self, own: Path) -> None:
        leaf = made_leaf(own)
        folder = own / "cells/c1"
        (folder / "memory.current").write_text("4096\n")
        (folder / "memory.reclaim").write_text("")
        (folder / "cgroup.procs").write_text("4321\n")
        leaf.release_pages()
        assert (folder / "memory.reclaim").read_text() == ""
        (folder / "cgroup.procs").write_text("")
        leaf.release_pages()
        assert (folder / "memory.reclaim").read_text() == "4096"
        (folder / "memory.reclaim").unlink()
        leaf.release_pages()  # a kernel before 5.19

    def test_a_leaf_that_is_not_empty_is_removed_with_the_next_one(self, own: Path) -> None:
        made = Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        leaf = made_leaf(own)  # its files stand for processes: a plain folder with any stays
        made.drop(leaf)
        folder = own / "cells/c1"
        assert folder.is_dir()
        shutil.rmtree(folder)
        folder.mkdir()
        made.drop(Leaf({"": CgroupFolder(str(own / "cells/c2"), 2)}))
        assert not folder.exists()

    def test_a_new_server_removes_the_empty_leaves_of_one_that_was_killed(self, own: Path) -> None:
        (own / "cells/old").mkdir()
        Cgroups("cells", {"": CgroupFolder(str(own), 2)})
        assert not (own / "cells/old").exists()


def v1_places() -> dict[str, CgroupFolder]:
    """The v1 groups of this process, for the controllers that we use."""
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    return {
        name: place for name, place in places.items() if name in CONTROLLERS and place.version == 1
    }  # fmt: skip


@pytest.fixture
def real() -> Iterator[Cgroups]:
    """A group of the test's own in each v1 hierarchy."""
    places = v1_places()
    if set(places) != set(CONTROLLERS) or os.geteuid() != 0:
        pytest.skip("needs root and the v1 controllers memory, pids and cpu")
    made = Cgroups(f"cellblock-test-{os.getpid()}", places)
    yield made
    if Path(places["pids"].path, f"cellblock-test-{os.getpid()}").exists():  # the test may have closed it
        made.close()


class TestOnARealV1Host:
    """What the kernel itself does."""

    def path(self, controller: str, *names: str) -> Path:
        return Path(v1_places()[controller].path, f"cellblock-test-{os.getpid()}", *names)

    def test_a_process_joins_a_leaf_whose_limits_are_set_and_the_leaf_goes_after_it(
        self, real: Cgroups
    ) -> None:
        leaf = real.leaf("c1")
        assert int(self.path("pids", "c1", "pids.max").read_text()) == BLANK.processes + OWN_PROCESSES
        leaf.limit(Budget(64 << 20, 8, 0.5))
        leaf.limit(Budget(32 << 20, 4, 0.25))  # down
        leaf.limit(Budget(128 << 20, 16, 2))  # and up
        assert int(self.path("pids", "c1", "pids.max").read_text()) == 17
        assert int(self.path("memory", "c1", "memory.limit_in_bytes").read_text()) == 128 << 20
        assert int(self.path("cpu", "c1", "cpu.cfs_quota_us").read_text()) == 200_000
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            leaf.join(child.pid)
            for controller in CONTROLLERS:
                assert self.path(controller, "c1", "cgroup.procs").read_text().split() == [str(child.pid)]
            assert not leaf.remove(), "the kernel keeps a group that somebody is in"
            assert child.stdin is not None
            child.stdin.write(b"\n")
            child.stdin.close()
            child.wait(WAIT_SECONDS)
        real.drop(leaf)
        assert not any(self.path(controller, "c1").exists() for controller in CONTROLLERS)

    def test_warming_up_moves_nobody(self, real: Cgroups) -> None:
        before = Path("/proc/self/cgroup").read_text()
        real.warm_up()
        assert Path("/proc/self/cgroup").read_text() == before

    def test_a_process_that_has_ended_cannot_join(self, real: Cgroups) -> None:
        leaf = real.leaf("c1")
        with subprocess.Popen(["/usr/bin/true"]) as child:
            child.wait(WAIT_SECONDS)
        with pytest.raises(OSError, match=r"."):
            leaf.join(child.pid)
        assert leaf.remove()

    def test_closing_leaves_nothing_behind(self, real: Cgroups) -> None:
        real.leaf("c1")
        real.close()
        assert not any(self.path(controller).exists() for controller in CONTROLLERS)
