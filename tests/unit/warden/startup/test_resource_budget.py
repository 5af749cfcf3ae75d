"""The limits of all cells together; and which cell is killed when the host is short of open files."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.function_limits import MIB
from supervisor.settings.declarations import Settings
from supervisor.warden import audit
from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder
from supervisor.warden.memory.open_files import FileOpener, OpenFilesGuard, count, open_in
from supervisor.warden.startup import resource_budget
from supervisor.warden.startup.resource_budget import HostResources, budget_for, read_host

HOST = HostResources(32_768, 2_470_938, 24 << 30)


@given(
    st.integers(300, 1 << 22), st.integers(20_000, 1 << 62), st.integers(1 << 30, 1 << 44),
)  # fmt: skip
def test_the_host_always_keeps_a_part(processes: int, files: int, memory: int) -> None:
    most = budget_for(Settings(), HostResources(processes, files, memory))
    assert 0 < most.processes < processes
    assert 0 < most.memory_bytes <= memory - min(resource_budget.MEMORY_KEPT_LEAST, memory // 2)
    assert most.files <= max(resource_budget.FILES_LEAST, files // resource_budget.FILES_SHARE)


def test_a_setting_is_taken_as_it_is() -> None:
    most = budget_for(Settings(cells_processes=100, cells_memory=200, instance_files=2000), HOST)
    assert (most.processes, most.memory_bytes, most.files) == (100, 200 * MIB, 2000)


def test_a_container_is_a_small_host(tmp_path: Path) -> None:
    (tmp_path / "pids.max").write_text("200\n")
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    host = read_host({"": CgroupFolder(str(tmp_path), 2)})
    assert (host.processes, host.memory_bytes) == (200, 1 << 30)
    (tmp_path / "pids.max").write_text("max\n")
    assert read_host({"": CgroupFolder(str(tmp_path), 2)}).processes > 200


def status(settings: Settings, host: HostResources, pending: int) -> dict[str, str]:
    return {check.what: check.status for check in audit.budget_checks(settings, host, pending)}


def test_the_check_says_what_the_hosts_limits_allow() -> None:
    good = status(Settings(max_cells=8), HOST, 96_551)
    assert set(good.values()) == {audit.PASS}, good
    assert status(Settings(max_cells=256), HOST, 96_551)["open files"] == audit.CAUTION
    assert status(Settings(max_cells=256), HOST, 1000)["pending signals"] == audit.CAUTION
    assert status(Settings(max_cells=256), HOST, resource.RLIM_INFINITY)["pending signals"] == audit.PASS
    assert (
        status(Settings(max_cells=256), HostResources(400, 1 << 62, 1 << 34), 96_551)["max_cells"]
        == audit.FAIL
    )
    greedy = Settings(max_cells=8, cells_memory=1 << 20, cells_processes=40_000)
    found = status(greedy, HOST, 96_551)
    assert found["memory of all cells"] == found["processes of all cells"] == audit.FAIL


def test_every_line_that_is_not_pass_says_what_to_do() -> None:
    for check in audit.budget_checks(
        Settings(max_cells=16_384, cells_memory=1 << 30), HostResources(400, 1, 1 << 30), 64
    ):
        assert check.status == audit.PASS or check.remedy


@pytest.fixture
def opener() -> subprocess.Popen[bytes]:
    """A process with about two hundred open files."""
    code = "import os; f = [os.open('/dev/null', 0) for _ in range(200)]; print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_open_files_are_counted_from_outside(opener: subprocess.Popen[bytes]) -> None:
    assert 200 < open_in([opener.pid]) < 260
    assert open_in([1 << 23]) == 0
    opened, most = count()
    assert 0 < opened < most


@pytest.mark.promise("S95")
def test_where_the_host_is_short_of_open_files_the_cell_with_most_of_them_ends(
    opener: subprocess.Popen[bytes],
) -> None:
    async def scenario() -> list[str]:
        ended: list[str] = []
        done = asyncio.Event()
        files = OpenFilesGuard(lambda: (80 if not ended else 10, 100))

        def end(name: str) -> None:
            ended.append(name)
            files.forget(name)
            done.set()

        files.watch("small", FileOpener(60, lambda: [os.getpid()], lambda _: end("small")))
        files.watch("large", FileOpener(60, lambda: [opener.pid], lambda _: end("large")))
        await asyncio.wait_for(done.wait(), 10)
        await asyncio.sleep(0)
        return ended

    assert asyncio.run(scenario()) == ["large"]


def test_what_they_may_have_within_the_hosts_limit_is_never_looked_at() -> None:
    async def scenario() -> None:
        asked = 0

        def counted() -> tuple[int, int]:
            nonlocal asked
            asked += 1
            return 99, 100

        files = OpenFilesGuard(counted)
        files.watch("one", FileOpener(30, list, lambda _: pytest.fail("ended")))
        files.watch("two", FileOpener(30, list, lambda _: pytest.fail("ended")))
        assert files._timer is None and asked == 1

    asyncio.run(scenario())
