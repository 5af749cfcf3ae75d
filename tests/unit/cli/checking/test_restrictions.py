"""What units and containers forbid a server: each cause is made by hand, and found with its directive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli.checking.attempts import MEMORY_LEAST, PROCESSES_LEAST
from supervisor.cli.checking.restrictions import PROCESSES, TABLE
from tests.support.pids_group import PidsGroup, group_of, pids_group
from tests.support.restricted import PRINTS, RESTRICTIONS

REPOSITORY = Path(__file__).parents[4]
SECONDS = 60
Found = tuple[bool, dict[str, list[str]]]
# The restriction, the lines that it causes, whether it stops every call, and the directives that are named.
CAUSES = (
    ("RestrictNamespaces", {"namespaces", "mounts", "own /proc"}, False, "RestrictNamespaces="),
    ("SystemCallFilter that kills", {"system calls"}, True, "SystemCallFilter="),
    ("SystemCallFilter without @sandbox", {"system calls"}, True, "SystemCallFilter="),
    ("SystemCallFilter without @keyring", {"system calls"}, True, "@keyring"),
    ("SystemCallFilter without @process", {"processes"}, True, "@process"),
    ("SystemCallFilter without @resources", {"scheduling"}, False, "@resources"),
    ("SystemCallFilter without @mount", {"mounts", "own /proc", "own devices"}, False, "SystemCallFilter="),
    ("ProtectHostname", {"host name"}, True, "ProtectHostname="),
    ("CapabilityBoundingSet", {"capabilities", "host's user ids"}, True, "CapabilityBoundingSet="),
    ("no CAP_KILL", {"host's user ids"}, True, "CapabilityBoundingSet="),
    ("PrivateUsers", {"host's user ids"}, True, "PrivateUsers="),
    ("PrivateDevices", {"own devices"}, False, "PrivateDevices="),
    ("ProcSubset", {"kernel files"}, True, "ProcSubset="),
    ("ReadOnlyPaths", {"writable data_dir"}, True, "ReadOnlyPaths="),
    ("RestrictAddressFamilies", {"sockets"}, True, "RestrictAddressFamilies="),
    ("PrivateNetwork", {"interfaces"}, False, "PrivateNetwork="),
    ("MemoryDenyWriteExecute", {"executable memory"}, False, "MemoryDenyWriteExecute="),
    ("LimitNPROC", {"process limits"}, True, "LimitNPROC="),
    ("LimitAS", {"process limits"}, True, "LimitAS="),
    ("LimitDATA", {"process limits"}, True, "LimitDATA="),
    ("LimitFSIZE", {"process limits"}, True, "LimitFSIZE="),
    ("LimitCPU", {"process limits"}, True, "LimitCPU="),
    ("LimitCORE", {"process limits"}, True, "LimitCORE="),
)  # fmt: skip

BESIDES = {"nothing", "what is in no table", "what our unit keeps"}

pytestmark = pytest.mark.needs_root  # who can take rights away from a process, one by one


def printed_by(*command: str) -> list[Found]:
    ended = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, ended.stderr
    return [tuple(json.loads(line)) for line in ended.stdout.splitlines()]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """What is found under each restriction."""
    folder = str(tmp_path_factory.mktemp("data"))
    printed = printed_by(sys.executable, "-m", "tests.support.restricted", "all", folder)
    return dict(zip(RESTRICTIONS, printed, strict=True))


@pytest.fixture(scope="module")
def free(found: dict[str, Found]) -> dict[str, list[str]]:
    """The control: what is found here without any restriction."""
    is_stopped, lines = found["nothing"]
    assert not is_stopped, lines
    return lines


@pytest.mark.promise("S175")
@pytest.mark.parametrize(
    ("restriction", "whats", "is_fatal", "directive"), CAUSES, ids=[each[0] for each in CAUSES]
)
def test_a_directive_that_breaks_a_server_is_found_and_named(
    restriction: str,
    whats: set[str],
    is_fatal: bool,
    directive: str,
    found: dict[str, Found],
    free: dict[str, list[str]],
) -> None:
    is_stopped, lines = found[restriction]

    new = {what: line for what, line in lines.items() if what not in free}
    assert whats <= set(new), new
    assert is_stopped is is_fatal
    named = " ".join(line[2] + line[1] for line in new.values())
    assert directive in named, named


def test_a_group_without_room_for_processes_is_found(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PRINTS, str(tmp_path)]
    with pids_group("check") as group:
        with group.room_for(PROCESSES_LEAST // 2):
            ((is_stopped, lines),) = printed_by(*group.wrap, *command)
        assert is_stopped and "TasksMax=" in lines["tasks"][2]
        ((is_stopped, lines),) = printed_by(*group.wrap, *command)
        assert not is_stopped and "tasks" not in lines


def test_a_group_without_room_for_a_server_and_a_function_is_found(tmp_path: Path) -> None:
    with group_of("memory", "check") as folder:
        (folder / "memory.limit_in_bytes").write_text(str(MEMORY_LEAST // 2))
        command = [*PidsGroup(folder).wrap, sys.executable, "-c", PRINTS, str(tmp_path)]
        ((is_stopped, lines),) = printed_by(*command)
        assert not is_stopped and "MemoryMax=" in lines["memory"][2]
        (folder / "memory.limit_in_bytes").write_text(str(MEMORY_LEAST))
        ((is_stopped, lines),) = printed_by(*command)
        assert not is_stopped and "memory" not in lines


def test_the_hardening_that_our_unit_keeps_restricts_no_server(
    found: dict[str, Found], free: dict[str, list[str]]
) -> None:
    is_stopped, lines = found["what our unit keeps"]

    assert not is_stopped
    assert set(lines) <= set(free), lines


def test_every_row_of_the_table_is_caused_by_one_of_these_and_every_cause_is_made() -> None:
    caused = {what for _, whats, _, _ in CAUSES for what in whats} - {PROCESSES}
    assert {row.what for row in TABLE} == caused | {"tasks", "memory"}  # which need a cgroup: see above
    assert {each[0] for each in CAUSES} == set(RESTRICTIONS) - BESIDES
