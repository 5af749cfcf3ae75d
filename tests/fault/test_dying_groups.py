"""Cells that end leave no memory groups behind that the kernel has to keep: it has room for some 65,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.conftest import MakeSmall
from tests.support.eventually import eventually, same_for
from tests.support.groups import groups_of, leaf_names
from tests.support.patience import FACTOR
from tests.support.server import Server
from tests.support.weakened import Change, weakened_tree

# Without what is tried here each leaves a group: many times A_FEW.
CELLS = 20
# Others on the machine make and remove groups as well: of several rounds the one that they disturbed least.
ROUNDS = 4
# A few whose last pages are just being given back.
A_FEW = 4
SETTLE_SECONDS = 20.0 * FACTOR
WITHOUT_IT = Change("supervisor/warden/jail/cgroups.py", "\nLeaf.release_pages = lambda _: None\n")
# A page of a library that nobody else has in use: its first reader from now on is this cell.
EVICTOR = """
import os, sysconfig
FILES = []
for folder in ("/usr/share/dict", "/usr/share/zoneinfo", "/usr/lib/x86_64-linux-gnu", "/usr/lib"):
    for where, _, names in os.walk(folder):
        for name in sorted(names):
            FILES.append(os.path.join(where, name))
        if len(FILES) > 400:
            break

def handle(req):
    done = 0
    for path in FILES[int(req.body) * 5 :]:
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        done += bool(os.pread(fd, 4096, 0))
        os.close(fd)
        if done >= 5:
            break
    os.write(1, str(done).encode() + b"\\n")
    os._exit(7)
"""


def groups_kept(server: Server) -> int:
    """Those that the kernel keeps: v1 says how many there are of the host's, removed ones too, v2 how many
    removed ones there are below the server's own."""
    base, version = groups_of(server.data_dir)["memory"]
    file, name, column = (Path("/proc/cgroups"), "memory", 2)
    if version == 2:
        file, name, column = (base / "cgroup.stat", "nr_dying_descendants", 1)
    (fields,) = [line.split() for line in file.read_text().splitlines() if line.split()[0] == name]
    return int(fields[column])


def left_by_a_round(server: Server) -> int:
    """How many groups there are more after CELLS cells came and went."""
    before = settled(server)
    for number in range(CELLS):
        answer = server.call("evictor", content=str(number).encode())
        assert answer.json()["error"]["details"]["exit_code"] == 7, answer.text
    return settled(server) - before


def settled(server: Server) -> int:
    """The number once it has stayed the same for a second, and no leaf is on its way out."""
    eventually(lambda: len(leaf_names(server.data_dir)) <= 3, "leaves stay")
    return same_for(lambda: groups_kept(server), 1.0)


def require_counted(server: Server) -> None:
    if "memory" not in groups_of(server.data_dir):
        pytest.skip("no memory controller here")


@pytest.mark.promise("S91")
def test_cells_that_read_pages_anew_leave_no_dying_groups_behind(small_server: MakeSmall) -> None:
    """Slow for what the kernel does late: after each round its groups are looked at until they stay."""
    with small_server() as server:
        require_counted(server)
        server.deploy("evictor", EVICTOR)
        left: list[int] = []
        while len(left) < ROUNDS and min(left, default=CELLS) > A_FEW:
            left.append(left_by_a_round(server))
        assert min(left) <= A_FEW, left


@pytest.mark.proof
def test_control_without_giving_their_pages_up_they_stay(small_server: MakeSmall, tmp_path: Path) -> None:
    python = weakened_tree(tmp_path, frozenset(), WITHOUT_IT, self_test=True)
    with small_server(tmp_path, python=python) as server:
        require_counted(server)
        server.deploy("evictor", EVICTOR)
        left = [left_by_a_round(server) for _ in range(2)]
        assert max(left) > 2 * A_FEW, left
