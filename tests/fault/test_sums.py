"""Many functions at their limits: together they take no more than their part, and the host keeps its own."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder
from supervisor.warden.jail.cgroups import Cgroups
from tests.fault.conftest import HELLO, MakeSmall, is_answered
from tests.support.envelope import assert_envelope
from tests.support.groups import groups_of
from tests.support.patience import FACTOR
from tests.support.processes import fronts_of, processes_of_mark, zygotes_of
from tests.support.server import SPACE, Server
from tests.support.weakened import Change, weakened_tree

pytestmark = [pytest.mark.needs_root]

CELLS = 3
PENDING = 32
# What the whole server and the test's own bystander may have waiting: three cells' worth and no more.
HOSTS_PENDING = CELLS * PENDING
QUEUER = """
import os, signal, uuid
MARK = uuid.uuid4().hex
open("/tmp/" + MARK, "w").close()

def waiting():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("SigQ")).split()[1].split("/")[0])

def handle(req):
    # What is above the limit is not refused but not queued either: the kernel says how many wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 65))
    before = waiting()
    for _ in range(300):
        os.kill(os.getpid(), 40)
    return {"body": {"before": before, "sent": waiting(), "mark": MARK}}
"""
# The same in a process of the host's, of the same user as the server.
BYSTANDER = """
import ctypes, os, resource, signal, sys
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_SIGPENDING, (most, most))
signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 65))
libc = ctypes.CDLL(None)
sent = 0
while sent < most and libc.sigqueue(os.getpid(), 40, ctypes.c_void_p(1)) == 0:
    sent += 1
print(sent)
"""
ALL_THERE_IS = Change(
    "worker/sandbox/rlimits.py",
    "(resource.RLIMIT_SIGPENDING, resource.getrlimit(resource.RLIMIT_SIGPENDING)[1])",
    "(resource.RLIMIT_SIGPENDING, 32)",
)  # fmt: skip
NO_HALF = Change(
    "supervisor/warden/launch/launcher.py", "(resource.RLIMIT_SIGPENDING, (most, most))",
    "(resource.RLIMIT_SIGPENDING, (most // 2, most // 2))",
)  # fmt: skip


def under(most: int) -> tuple[str, ...]:
    return ("prlimit", f"--sigpending={most}:{most}")


def queued(server: Server) -> list[dict[str, Any]]:
    """What CELLS cells of as many functions have queued, all of it still waiting."""
    for number in range(CELLS):
        server.deploy(f"queuer{number}", QUEUER, max_instances=1)
    return [json.loads(server.call(f"queuer{number}").text) for number in range(CELLS)]


def bystander_can(most: int) -> int:
    """How many signals a process of the host's root can have waiting now."""
    command = [sys.executable, "-c", BYSTANDER, str(most)]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.promise("T57")
def test_signals_that_wait_in_cells_leave_the_hosts_processes_their_half(small_server: MakeSmall) -> None:
    with small_server(wrap=under(HOSTS_PENDING)) as server:
        found = queued(server)
        assert all(one["sent"] <= PENDING for one in found), found
        assert sum(one["sent"] for one in found) <= HOSTS_PENDING // 2
        assert bystander_can(HOSTS_PENDING) >= HOSTS_PENDING // 2 - 4, "some of the host's own may wait too"


def test_control_without_both_bounds_cells_take_all_and_the_host_is_refused(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    python = weakened_tree(tmp_path, frozenset(), ALL_THERE_IS, NO_HALF)
    with small_server(tmp_path, python=python, wrap=under(HOSTS_PENDING)) as server:
        found = queued(server)
        assert sum(one["sent"] for one in found) > HOSTS_PENDING - 10, found
        assert bystander_can(HOSTS_PENDING) < 10


def scores(server: Server) -> dict[str, set[int]]:
    """How soon the kernel would end each kind of process."""
    server.deploy("queuer", QUEUER)
    mark = json.loads(server.call("queuer").text)["mark"]
    pids = {
        "warden": [server.pid], "fronts": fronts_of(server.pid), "zygotes": zygotes_of(server.pid),
        "cells": processes_of_mark(server.pid, mark),
    }  # fmt: skip
    return {
        kind: {int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in found}
        for kind, found in pids.items()
    }


@pytest.mark.promise("S92")
def test_without_memory_cells_go_first_then_zygotes_then_fronts_and_the_warden_last(
    small_server: MakeSmall,
) -> None:
    with small_server() as server:
        found = scores(server)
        order = [found[kind] for kind in ("warden", "fronts", "zygotes", "cells")]
        assert all(len(values) == 1 for values in order), found
        values = [value for (value,) in order]
        assert values == sorted(values) and len(set(values)) == 4, found
        assert values[-1] == 1000


# As long as the slowest of three is late.
HOLD = str(2 * FACTOR).encode()
FORKER = """
import os, time
def handle(req):
    children = []
    try:
        while len(children) < 200:
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    except OSError:
        pass
    time.sleep(float(req.body))
    return {"body": str(len(children))}
"""


@pytest.mark.promise("S93")
def test_processes_of_all_cells_together_stay_within_their_sum(small_server: MakeSmall) -> None:
    with small_server(cells_processes=120) as server:
        base, _ = groups_of(server.data_dir)["pids"]
        assert int((base / "pids.max").read_text()) == 120
        for number in range(3):
            server.deploy(f"forker{number}", FORKER, processes=80, timeout=60)
        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(lambda n: server.call(f"forker{n}", content=HOLD), range(3))
            numbers = [int(answer.text) for answer in answers]
        assert sum(numbers) < 120 < 3 * 75, "each alone may have 80"
        for number in range(3):
            server.client.delete(f"/spaces/{SPACE}/functions/forker{number}")
        server.deploy("hello", HELLO)
        assert is_answered(server)


def test_control_without_the_sum_they_have_what_each_may_have(small_server: MakeSmall) -> None:
    with small_server() as server:
        for number in range(3):
            server.deploy(f"forker{number}", FORKER, processes=80, timeout=60)
        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(lambda n: server.call(f"forker{n}", content=HOLD), range(3))
            numbers = [int(answer.text) for answer in answers]
        assert sum(numbers) > 200, numbers


EATER = """
import os
KEPT = []
def handle(req):
    for _ in range(int(req.body)):
        KEPT.append(bytearray(os.urandom(1) * (1 << 20)))
    return {"body": "full"}
"""


WHO = "import uuid\nME = uuid.uuid4().hex\ndef handle(req):\n    return {'body': ME}\n"
SUM_MIB = 320


def peak_of_eaters(server: Server) -> tuple[int, list[str]]:
    """The most that all cells had together while two of them took 100 and 240 MiB, bytes; and what those
    were told who were ended for it."""
    base, version = groups_of(server.data_dir)["memory"]
    server.deploy("who", WHO, max_instances=1)
    before = server.call("who").text
    refused = []
    # The kernel ends the largest: the second one, while it takes more.
    for mib in (100, 240):
        server.deploy(f"eater-{mib}", EATER, memory=256, max_instances=1, timeout=10 * FACTOR)
        answer = server.call(f"eater-{mib}", content=str(mib).encode())
        if answer.status_code != 200:
            refused.append(assert_envelope(answer, 502, "ran out of memory")["message"])
    assert server.call("who").text == before, "a cell that took nothing was ended with those that did"
    peak = int((base / ("memory.max_usage_in_bytes" if version == 1 else "memory.peak")).read_text())
    return peak, refused


@pytest.mark.promise("S94", "S115")
def test_memory_of_all_cells_together_stays_within_its_sum_and_who_has_little_lives(
    small_server: MakeSmall,
) -> None:
    with small_server(cells_memory=SUM_MIB) as server:
        peak, refused = peak_of_eaters(server)
        assert peak <= SUM_MIB << 20
        assert ["no more for all functions together" in message for message in refused] == [True], refused


def test_control_without_the_sum_of_memory_they_take_more(small_server: MakeSmall) -> None:
    with small_server() as server:
        peak, refused = peak_of_eaters(server)
        assert peak > SUM_MIB << 20
        assert not refused


def test_open_files_of_an_instance_are_bounded_as_a_whole(small_server: MakeSmall) -> None:
    with small_server(instance_files=8192) as server:
        body = {
            "name": "many", "template": "python3-http", "options": {"open_files": 1024, "processes": 64},
            "source": {"code": "ZGVmIGhhbmRsZShyZXEpOgogICAgcmV0dXJuIHt9Cg=="},
        }  # fmt: skip
        answer = server.client.post(f"/spaces/{SPACE}/functions", json=body)
        assert answer.status_code == 422
        assert "at most 128" in answer.text
        server.deploy("few", LIMIT, processes=16, open_files=512)
        assert server.call("few").text == "512"
        # A default above it is cut, as at any ceiling.
        server.deploy("default", LIMIT)
        assert server.call("default").text == "128"


LIMIT = """
import resource
def handle(req):
    return {'body': str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])}
"""


def test_a_group_that_cannot_be_bounded_is_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    made = Cgroups("scripted", {})
    made._bases = {"pids": CgroupFolder(str(tmp_path / "base"), 1)}
    made.limit_all_cells(10, 10)
    assert "has no limit" in caplog.text
