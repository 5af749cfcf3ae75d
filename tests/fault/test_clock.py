"""Clocks that are set: deadlines are on the monotonic clock, so no jump of the wall clock can move one.

The wall clock is the whole machine's: no namespace has one of its own, so a test may not set it.  Instead the
places that read it are named, and a server runs where the monotonic clock itself is another.
"""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from tests.fault.conftest import HELLO, MakeSmall, recovers
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.together import together

ROOT = Path(__file__).parents[2]
WALL_CLOCK = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
# What keeps things says when it got them; deadlines are elsewhere.
KEEPERS = (
    "supervisor/store/",
    "supervisor/logs/",
    "supervisor/bundles/bundle_store.py",
    "supervisor/front/outcome/reports.py",
    "supervisor/front/logs/recorder.py",
    "supervisor/front/logs/log_deletion.py",
    "supervisor/front/http/answer_head.py",  # the header Date
    # A credential expires at a time of day, which its holder chose.
    "supervisor/front/invoke/callers/credential.py",
    "supervisor/front/api/credentials/",
    "supervisor/front/api/routes/log_routes.py",
    "supervisor/cli/tenants/credential_commands.py",
    # Usage is counted by days in UTC, and what hours and days have spent stays over a restart.
    "supervisor/front/usage/",
    "supervisor/front/quotas/",
    "supervisor/front/api/routes/usage_routes.py",
)
AHEAD_SECONDS = 400 * 86_400


def reads(path: Path) -> set[str]:
    """The wall clocks that a file names."""
    return {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in WALL_CLOCK
    }


def test_the_wall_clock_is_read_where_the_time_of_day_is_meant_and_nowhere_else() -> None:
    found = {
        (name, clock)
        for package in ("supervisor", "worker", "function", "seccomp")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not (name := str(path.relative_to(ROOT))).startswith(KEEPERS)
        for clock in reads(path)
    }
    assert found == set()


@pytest.mark.needs_root
@pytest.mark.slow
def test_a_server_whose_monotonic_clock_is_another_than_the_hosts_keeps_its_deadlines(
    small_server: MakeSmall,
) -> None:
    """As on a host that was suspended for a year, or in a container that was moved to another one."""
    wrap = ("unshare", "--time", "--monotonic", str(AHEAD_SECONDS), "--boottime", str(AHEAD_SECONDS))
    clock = ["cat", "/proc/uptime"]
    done = subprocess.run([*wrap, "--", *clock], capture_output=True, text=True, check=False)
    if done.returncode or float(done.stdout.split()[0]) < AHEAD_SECONDS:
        pytest.skip(f"this host gives no time namespace to a program it becomes: {done.stderr.strip()}")
    with small_server(wrap=(*wrap, "--"), queue_seconds=0.3, body_seconds=1) as server:
        assert os.readlink(f"/proc/{server.pid}/ns/time") != os.readlink("/proc/self/ns/time")
        server.deploy("hello", HELLO)
        recovers(server)
        source = "import time\nfrom function import context\ndef handle(req):\n"
        source += "    return {'body': {'left': context.remaining_ms(), 'clock': time.monotonic()}}\n"
        server.deploy("clock", source)
        found = server.call("clock").json()
        assert found["clock"] > AHEAD_SECONDS
        assert 0 < found["left"] <= 10_000
        # A wait that is bounded ends: one call has the instance, the other its deadline.
        source = "import time\ndef handle(req):\n    time.sleep(float(req.body))\n"
        server.deploy("busy", source, max_instances=1)
        eventually(lambda: server.call("busy", content=b"0").status_code == 200, "it never starts")
        answers = together([lambda: server.call("busy", content=b"1")] * 2)
        # 429 where its own front has the instance, 503 where the other one has.
        assert sorted(answer.status_code for answer in answers) in ([200, 429], [200, 503])
        for answer in answers:
            if answer.status_code == 429:
                assert_envelope(answer, 429, "stayed busy")
        recovers(server)
