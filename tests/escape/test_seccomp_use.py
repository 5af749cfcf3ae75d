"""What functions really call: no name is in a cell's allow-list that nothing needs, and none is missing.

The workloads run on every runtime under a cell's filter while strace counts their calls.  Passing says
that an ordinary program is not stopped, and that each allowed name is used here or has its reason in
NOT_SEEN.  It does not say that a name could not be done without.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from seccomp.profile import ActionKind, load
from supervisor.runtimes import RUNTIME_NAMES, Runtime
from supervisor.runtimes.runtime_record import read_record, runtime_of
from supervisor.settings import plain_sources
from tests.support.performed import REPOSITORY
from tests.support.runtimes import on_every_runtime, runtime_or_skip

DRIVER = Path(__file__).with_name("driver_workloads.py")
DEADLINE_SECONDS = 100
# Programs with network use the most calls; those without are answered with errnos by the same names.
PROFILE = "cell-network"

NOT_SEEN = {
    **dict.fromkeys(("exit", "exit_group"), "a thread's and a process's last call; strace -c counts no such"),
    **dict.fromkeys(
        ("futimesat", "getrlimit", "getxattr", "lstat", "pipe", "stat", "time", "utime", "utimes", "fork",
         "epoll_create", "select", "faccessat", "nanosleep", "gettimeofday", "accept"),
        "what older C libraries and musl call for what glibc does by a newer call",
    ),
    **dict.fromkeys(("tkill", "fchmodat2", "ppoll"), "musl's raise, its chmod of links, its poll on aarch64"),
    **dict.fromkeys(("preadv", "pwritev"), "musl, and C libraries; os.preadv calls preadv2"),
    **dict.fromkeys(("lgetxattr", "fgetxattr", "llistxattr"), "shutil.copy2 where files have attributes"),
    **dict.fromkeys(("epoll_pwait", "epoll_pwait2"), "libuv and aarch64, whose table has no epoll_wait"),
    **dict.fromkeys(("getcpu", "get_robust_list", "futex_waitv", "membarrier", "recvmmsg", "rt_sigsuspend"),
                    "C libraries: thread pools, allocators, DNS and QUIC"),
    "statx": "cryptography and all that is written in Rust; the standard library of Python 3.15",
    "renameat2": "coreutils' mv; C libraries that may not replace",
    "restart_syscall": "the kernel itself, after a process was stopped in a sleep",
    "capget": "libcap in C libraries: whether there is a privilege",
    "sendmmsg": "the resolver, where there is a name server to ask",
    "personality": "the question only: C libraries' start-up code",
}  # fmt: skip
# With arguments that a cell may not use, or an errno by rule: seen and not allowed, and the programs go on.
FALLEN_BACK = {"clone3", "mbind", "get_mempolicy", "set_mempolicy", "sendfile", "memfd_create", "openat2"}
# Made by the launcher before the filter holds.
BEFORE = {"seccomp"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def strace() -> None:
    """Skip where it is not installed, unless every test must run."""
    if shutil.which("strace") is None:
        if os.environ.get("REQUIRE_SANDBOX") == "1":
            pytest.fail("install strace")
        pytest.skip("strace is not installed")


@cache
def used_by(runtime: Runtime, folder: Path) -> frozenset[str]:
    """The names of all calls of the workloads on one runtime; they must succeed."""
    summary = folder / runtime.name
    done = subprocess.run(
        ["strace", "-f", "-c", "-qq", "-o", summary,
         sys.executable, "-m", "tests.support.under", PROFILE, "--",
         runtime.python, "-I", "-S", "-B", "-W", "ignore", DRIVER, runtime.libraries],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=REPOSITORY, start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    # "% time  seconds  usecs/call  calls  [errors]  syscall", two lines of head, two of foot; and of a
    # process that was killed in a call, "pid ????( <unfinished ...>".
    rows = [line.split() for line in summary.read_text().splitlines()]
    names = {row[-1] for row in rows if len(row) >= 5 and row[0][0].isdigit()}
    return frozenset(name for name in names if name.isidentifier()) - {"total"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For strace's summaries."""
    return tmp_path_factory.mktemp("strace")


def allowed() -> set[str]:
    """The names that a cell may call, with whatever arguments."""
    return {
        name for rule in load(PROFILE).rules for name in rule.names if rule.action.kind is ActionKind.ALLOW
    }  # fmt: skip


@on_every_runtime
def test_ordinary_programs_run_under_a_cells_filter(runtime_name: str, folder: Path) -> None:
    used = used_by(runtime_or_skip(runtime_name), folder)
    assert used - allowed() <= FALLEN_BACK | BEFORE


def test_every_allowed_name_is_used_or_has_its_reason(folder: Path) -> None:
    runtimes_dir = plain_sources.load().runtimes_dir
    records = [record for name in RUNTIME_NAMES if (record := read_record(runtimes_dir, name))]
    found = [runtime for record in records if (runtime := runtime_of(runtimes_dir, record))]
    if len(found) < len(RUNTIME_NAMES):
        pytest.skip("needs every runtime: each Python calls what others do not")
    used = frozenset[str]().union(*(used_by(runtime, folder) for runtime in found))
    print(
        f"seen on {', '.join(runtime.name for runtime in found)}: {len(used & allowed())} of {len(allowed())}"
    )
    for name in sorted(allowed() - used):
        print(f"not seen: {name}: {NOT_SEEN.get(name, 'NO REASON')}")
    assert allowed() - used - set(NOT_SEEN) == set()
    # A reason for something that is not allowed (any more) is a stale one.
    assert set(NOT_SEEN) <= allowed()
