"""A server compares what the kernel counts of its cells with what psutil sees, and so does the check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fault.conftest import MakeSmall
from tests.support.server import Server
from tests.support.weakened import Change, weakened_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_sandbox]

TOUCHED_MIB = 100
KEEPER = f"""
KEPT = []
def handle(req):
    KEPT.append(b"x" * ({TOUCHED_MIB} << 20))
    return {{"body": "kept"}}
"""
AGREEMENT = "supervisor/warden/memory/counter_check.py"
OFTEN = Change(AGREEMENT, "EVERY_S = 0.1", old="EVERY_S = 60.0")
# What it saw is of no interest to an operator, but it is here.
SAYS_SO = Change(
    AGREEMENT,
    "                log.warning('compared %s: %s', cell.name, said)\n                if said:\n",
    old="                if said:\n",
)
# A cell that is in its group of processes, but not in that of memory.
LEFT_OUT = Change(
    "supervisor/warden/jail/cgroups.py",
    '        for path in [path for path in self._paths if path != self._folders["memory"].path]:\n',
    old="        for path in self._paths:\n",
)
# What joins looks whether the cell is there.
NOT_LOOKED_AT = Change(
    "supervisor/warden/jail/cgroups.py",
    "        if is_in < len(self._paths) - 1:\n",
    old="        if is_in < len(self._paths):\n",
)
# Where the groups of all controllers are one folder (v2) there is no being in one of them alone.
GUARD_ASLEEP = Change(
    "supervisor/warden/memory/memory_guard.py",
    "    def _look(self, cell: _GuardedCell) -> None:\n        return\n",
    old="    def _look(self, cell: _GuardedCell) -> None:\n",
)  # fmt: skip


def checked(server: Server) -> dict[str, str]:
    """What ``cellblock check`` says of the counters."""
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.cli", "check", "--data-dir", str(server.data_dir), "--json"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    (found,) = (line for line in json.loads(done.stdout) if line["what"] == "memory counters")
    return {"status": found["status"], "found": found["found"]}


@pytest.mark.promise("S116")
def test_a_cell_whose_memory_is_counted_is_compared_and_nothing_is_said(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    """Slow for a copy of the server that proves itself first, and for a whole `cellblock check`."""
    python = weakened_tree(tmp_path, frozenset(), OFTEN, SAYS_SO, self_test=True)
    with small_server(python=python) as server:
        server.deploy("keeper", KEEPER, memory=256)
        assert server.call("keeper").text == "kept"
        server.said("compared", times=2, since=server.log_bytes)
        assert "limits of memory may not hold" not in server.log
        found = checked(server)
        assert found["status"] == "PASS" and "as psutil sees" in found["found"], found


def test_control_a_cell_that_is_not_in_its_group_of_memory_is_told_of(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    python = weakened_tree(
        tmp_path, frozenset(), OFTEN, LEFT_OUT, NOT_LOOKED_AT, GUARD_ASLEEP, self_test=True
    )
    with small_server(python=python) as server:
        server.deploy("keeper", KEEPER, memory=256)
        assert server.call("keeper").text == "kept"
        server.said("limits of memory may not hold")
        assert "and its processes have" in server.log
