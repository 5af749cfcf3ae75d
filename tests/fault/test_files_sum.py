"""Functions that open the host's files: on a host that has no more of them than the test says.

The kernel's own limit is the machine's, so a copy of the server is told of a smaller one, and counts what it
and all below it have open.
"""

from __future__ import annotations

from pathlib import Path

from supervisor.warden.memory.open_files import open_in
from supervisor.warden.memory.process_memory import tree_of
from tests.escape.neighbour import Tenant
from tests.fault.conftest import MakeSmall
from tests.support.eventually import eventually
from tests.support.processes import processes_of_mark
from tests.support.server import Server
from tests.support.weakened import Change, weakened_tree

FILES = "supervisor/warden/memory/open_files.py"
# All of a small server's processes have a few hundred.
HOST_HAS = 3000
SMALL_HOST = Change(
    FILES,
    f"""
def count():
    from supervisor.warden.memory.process_memory import tree_of
    return open_in(tree_of(os.getpid())), {HOST_HAS}
""",
)
UNGUARDED = Change(FILES, "FULL_SHARE = 100.0", old="FULL_SHARE = 0.75")
COUNTED_LATE = Change(FILES, "count: Callable[[], tuple[int, int]] = lambda: count()",
                      old="count: Callable[[], tuple[int, int]] = count")  # fmt: skip
EACH, CHILDREN = 900, 4
OPENER = f"""
import os, uuid
MARK = uuid.uuid4().hex
open("/tmp/" + MARK, "w").close()

def handle(req):
    if req.body == b"who":
        return {{"body": MARK}}
    read, write = os.pipe()
    for _ in range({CHILDREN}):
        if os.fork() == 0:
            kept = [os.open("/dev/null", os.O_RDONLY) for _ in range({EACH})]
            os.write(write, b"x")
            while True:
                os.read(os.pipe()[0], 1)
    for _ in range({CHILDREN}):
        os.read(read, 1)
    return {{"body": MARK}}
"""
LIMITS = {"open_files": 1024, "processes": 8, "max_instances": 1}


def opened(server: Server) -> int:
    return open_in(tree_of(server.pid))


def test_a_function_that_opens_most_of_the_hosts_files_ends_and_who_has_few_lives(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    python = weakened_tree(tmp_path, frozenset(), SMALL_HOST, COUNTED_LATE, self_test=True)
    with small_server(python=python) as server:
        neighbour = Tenant(server, "neighbour")
        neighbour.deploy("small", OPENER, **LIMITS)
        before = neighbour.call("small", b"who").text
        server.deploy("opener", OPENER, **LIMITS)
        mark = server.call("opener").text
        eventually(lambda: not processes_of_mark(server.pid, mark), "it keeps them")
        assert opened(server) < HOST_HAS * 3 // 4
        assert server.call("opener", content=b"who").text not in ("", mark)
        assert neighbour.call("small", b"who").text == before
        assert "is short of open files" in server.log


def test_control_without_the_guard_and_the_product_it_has_more_than_the_host(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    python = weakened_tree(tmp_path, frozenset(), SMALL_HOST, COUNTED_LATE, UNGUARDED, self_test=True)
    with small_server(python=python) as server:
        server.deploy("opener", OPENER, **LIMITS)
        mark = server.call("opener").text
        assert opened(server) > HOST_HAS
        assert server.call("opener", content=b"who").text == mark
