"""What the server's own processes did to themselves, seen from outside: as root's and as a user's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.warden.launch.front_standby import FRONT_ENVIRONMENT
from tests.escape.canaries import Canaries
from tests.escape.conftest import Target
from tests.support.descriptors import places_in
from tests.support.eventually import eventually
from tests.support.processes import children_of, command_line, descendants_of, pid_namespace
from tests.support.server import REPOSITORY

Targets = Callable[[str, frozenset[str]], Target]

CAP_SYS_ADMIN = 1 << 21
SECCOMP_FILTER = "2"

pytestmark = pytest.mark.needs_sandbox


def status_of(pid: int) -> dict[str, str]:
    """``/proc/PID/status`` by its names."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def processes(server_pid: int) -> dict[str, list[int]]:
    """The server's processes by what they are; cells are not among them."""
    found: dict[str, list[int]] = {"warden": [server_pid], "front": [], "zygote": []}
    for pid in descendants_of(server_pid):
        command = command_line(pid)
        if "supervisor.front.server" in command:
            found["front"].append(pid)
        elif "_cellblock.zygote" in command and pid_namespace(pid) == pid_namespace(server_pid):
            found["zygote"].append(pid)
    return found


@pytest.mark.promise("T38")
def test_fronts_have_no_capability_a_filter_of_their_own_and_cannot_be_traced(targets: Targets) -> None:
    """What an attacker has who got into a front: an ordinary user without exec, mounts or raw sockets."""
    for pid in processes(targets("A", frozenset()).server.pid)["front"]:
        status = status_of(pid)
        assert status["Uid"].split()[0] != "0"
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", SECCOMP_FILTER)
        # A process that is not dumpable has files that are root's, whoever runs it.
        assert Path(f"/proc/{pid}/environ").stat().st_uid == 0


@pytest.mark.promise("T47")
@pytest.mark.parametrize("tier", ["A", "A-user"])
def test_a_front_never_had_the_servers_environment_or_descriptors(targets: Targets, tier: str) -> None:
    """It stood by while the settings were read, as whoever the server runs as."""
    server = targets(tier, frozenset()).server
    fronts = processes(server.pid)["front"]
    assert b"CELLBLOCK_" in Path(f"/proc/{server.pid}/environ").read_bytes()  # the control
    assert fronts
    for pid in fronts:
        environment = dict(
            entry.split(b"=", 1) for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if entry
        )
        assert environment == {name.encode(): value.encode() for name, value in FRONT_ENVIRONMENT.items()}
        opened = places_in(pid)
        files = {target for number, target in opened.items() if number > 2 and target.startswith("/")}
        allowed = (f"{server.data_dir}/front/", "/tmp/", "/dev/null")
        assert not [target for target in files if not target.startswith(allowed)], files


def kinds_of_own(pid: int) -> list[str]:
    """What its descriptors are, but for the three standard ones."""
    return [target.partition(":")[0] for number, target in places_in(pid).items() if number > 2]


@pytest.mark.parametrize("tier", ["A", "A-user", "C"])
def test_a_zygote_has_nothing_of_the_servers_environment_and_one_descriptor_of_its_own(
    targets: Targets, tier: str
) -> None:
    """The first one's launcher was a copy of the server, made before its first import."""
    server = targets(tier, frozenset()).server
    zygotes = processes(server.pid)["zygote"]
    assert b"CELLBLOCK_" in Path(f"/proc/{server.pid}/environ").read_bytes()  # the control
    assert zygotes
    for pid in zygotes:
        # Empty while it is on its way from the launcher to its own interpreter.
        eventually(lambda pid=pid: b"PYTHONPATH=" in Path(f"/proc/{pid}/environ").read_bytes())
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"CELLBLOCK_" not in environment
        opened = places_in(pid)
        assert opened.pop(0) == "/dev/null"
        assert opened.keys() >= {1, 2}
        # While it clones a cell it has that one's descriptors, too.
        eventually(lambda pid=pid: kinds_of_own(pid) == ["socket"], "it keeps other descriptors")


@pytest.mark.parametrize("what", ["front_standby import FrontStandby", "zygote_standby import ZygoteStandby"])
def test_a_process_that_stands_by_ends_with_a_server_that_never_told_it_what_it_is(what: str) -> None:
    program = f"from supervisor.warden.launch.{what} as Waits; print(Waits().pid)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    eventually(lambda: not Path(f"/proc/{int(done.stdout)}").exists())


def test_a_zygote_keeps_the_one_capability_that_makes_namespaces(targets: Targets) -> None:
    zygotes = processes(targets("A", frozenset()).server.pid)["zygote"]
    assert zygotes
    for pid in zygotes:
        status = status_of(pid)
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == CAP_SYS_ADMIN
        assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")


def test_an_ordinary_users_server_is_out_of_that_users_own_reach(targets: Targets) -> None:
    """All cells share its id: nothing of the server's may be dumpable."""
    for pids in processes(targets("A-user", frozenset()).server.pid).values():
        assert pids
        for pid in pids:
            assert status_of(pid)["Uid"].split()[0] != "0"
            assert Path(f"/proc/{pid}/environ").stat().st_uid == 0


def test_a_zygotes_environment_and_memory_hold_nothing_of_the_servers(
    targets: Targets, canaries: Canaries
) -> None:
    """Its children can read all of it."""
    target = targets("A", frozenset())
    assert canaries.token in Path(f"/proc/{target.server.pid}/environ").read_text()
    zygotes = processes(target.server.pid)["zygote"]
    assert zygotes
    for pid in zygotes:
        assert canaries.token not in Path(f"/proc/{pid}/environ").read_text()
        assert not has_in_memory(pid, canaries.token.encode())


def has_in_memory(pid: int, token: bytes) -> bool:
    """Whether a process holds these bytes where it can write."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            first, _, last = line.split()[0].partition("-")
            if "rw" not in line.split()[1]:
                continue
            memory.seek(int(first, 16))
            if token in memory.read(int(last, 16) - int(first, 16)):
                return True
    return False


def test_no_process_of_the_server_leaves_a_core_file(targets: Targets) -> None:
    server_pid = targets("A", frozenset()).server.pid
    for pid in [server_pid, *children_of(server_pid)]:
        limits = Path(f"/proc/{pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["1", "1"]
