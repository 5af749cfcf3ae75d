"""What a kernel gives to whoever runs this: ``python -m tests.vm.facts`` prints a fact a line.

It uses nothing of the product: when a test fails in the guest, this is what the guest can do by itself.
Every fact is found by trying, in a child that ends with it; groups are made and removed below
``CELLBLOCK_TEST_CGROUP`` only, and without that variable none is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROUNDS = 20
# A child that has this long not ended never will; a translated processor needs some hundredths of it.
CHILD_SECONDS = 30
CGROUP_FILES = (
    "memory.max", "memory.peak", "memory.oom.group", "memory.swap.max", "memory.high", "memory.reclaim",
    "pids.max", "pids.peak", "cpu.max", "cpu.stat", "cgroup.kill", "cgroup.freeze",
)  # fmt: skip
# A cell's limits, in the form of the unified hierarchy.
LIMITS = {
    "memory.max": "268435456",
    "memory.swap.max": "0",
    "memory.oom.group": "1",
    "pids.max": "64",
    "cpu.max": "100000 100000",
}
NAMESPACES = {
    "user": 0x10000000, "mnt": 0x00020000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000,
    "uts": 0x04000000, "cgroup": 0x02000000,
}  # fmt: skip
CLONE_INTO_CGROUP = 0x200000000
SYS_CLONE3, SYS_LANDLOCK_CREATE_RULESET = 435, 444
LANDLOCK_VERSION = 1
MS_NOSUID, MS_REC, MS_PRIVATE = 2, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Print all facts."""
    _say("kernel", os.uname().release)
    _say("user id", os.getuid())
    _say("security modules", _text("/sys/kernel/security/lsm"))
    _say("Landlock ABI", _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION))
    for name, value in (("max_user_namespaces", "user"), ("unprivileged_userns_clone", "kernel")):
        _say(name, _text(f"/proc/sys/{value}/{name}"))
    for name, flag in NAMESPACES.items():
        _say(f"namespace {name}", _in_child(partial(_unshare, flag)))
        if name != "user":
            both = partial(_unshare, flag | NAMESPACES["user"])
            _say(f"namespace {name} in a new user namespace", _in_child(both))
    _say("all namespaces at once", _in_child(lambda: _unshare(sum(NAMESPACES.values()))))
    for options in ("", "subset=pid", "subset=pid,hidepid=invisible"):
        _say(f"proc with {options or 'no option'} in new user, mnt and pid namespaces",
             _in_child(partial(_mount_proc, options)))  # fmt: skip
    _say("own group", _text("/proc/self/cgroup"))
    place = os.environ.get("CELLBLOCK_TEST_CGROUP")
    if place:
        _groups(Path(place))
    _costs("fork and wait", [_timed(_fork_and_wait) for _ in range(ROUNDS)])


def _say(name: str, value: object) -> None:
    print(f"{name}: {value}", flush=True)


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        return f"no ({errno.errorcode[error.errno or 0]})"


# ---- namespaces -----------------------------------------------------------------------------


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _unshare(flags: int) -> None:
    _checked(_libc.unshare(flags))


def _mount_proc(options: str) -> None:
    _unshare(NAMESPACES["user"] | NAMESPACES["mnt"] | NAMESPACES["pid"])
    pid = os.fork()
    if pid:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(status)
    _checked(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _checked(_libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID, options.encode()))


def _in_child(attempt: Callable[[], None]) -> str:
    """ "yes", or the name of the errno that the attempt ended in."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(CHILD_SECONDS)
        try:
            attempt()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return "yes" if code == 0 else f"no ({errno.errorcode.get(code, code)})"


# ---- groups ---------------------------------------------------------------------------------


def _groups(place: Path) -> None:
    _say("controllers", _text(f"{place}/cgroup.controllers"))
    _say("handed down", _text(f"{place}/cgroup.subtree_control"))
    with _leaf(place) as leaf:
        for name in CGROUP_FILES:
            _say(name, (leaf / name).exists())
    _say("limits can be written", _in_child(lambda: _with_leaf(place, _limit)))
    _say("a child can be moved in", _in_child(lambda: _with_leaf(place, _join)))
    _say("clone3 with CLONE_INTO_CGROUP", _in_child(lambda: _with_leaf(place, _clone_into)))
    _say("cgroup.kill ends what is inside", _in_child(lambda: _with_leaf(place, _kill)))
    _say("a limit of memory kills the whole group", _in_child(lambda: _with_leaf(place, _overrun)))
    costs: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, seconds in _round(place):
            costs.setdefault(name, []).append(seconds)
    for name, samples in costs.items():
        _costs(name, samples)


@contextmanager
def _leaf(place: Path) -> Iterator[Path]:
    path = place / f"facts-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def _with_leaf(place: Path, attempt: Callable[[Path], None]) -> None:
    with _leaf(place) as leaf:
        attempt(leaf)


def _limit(leaf: Path) -> None:
    for name, value in LIMITS.items():
        _write(leaf / name, value)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


@contextmanager
def _sleeper() -> Iterator[int]:
    """The pid of a child that waits for its end; it is over and reaped afterwards."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _join(leaf: Path) -> None:
    with _sleeper() as pid:
        _write(leaf / "cgroup.procs", str(pid))
        _be_inside(leaf, pid)


def _be_inside(leaf: Path, pid: int) -> None:
    if str(pid) not in (leaf / "cgroup.procs").read_text().split():
        raise OSError(errno.ESRCH, "not inside")


def _clone_into(leaf: Path) -> None:
    pid = _clone3(leaf)
    try:
        _be_inside(leaf, pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _clone3(leaf: Path) -> int:
    """A child that waits for its end, made inside ``leaf``."""
    descriptor = os.open(leaf, os.O_PATH | os.O_DIRECTORY)
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, its size, tls, set_tid,
    # its size, cgroup.
    arguments = struct.pack("=11Q", CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, descriptor)
    pid: int = _libc.syscall(SYS_CLONE3, arguments, len(arguments))
    if pid == 0:
        signal.pause()
        os._exit(0)
    os.close(descriptor)
    _checked(pid)
    return pid


def _kill(leaf: Path) -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        _write(leaf / "cgroup.procs", str(pid))
        _write(leaf / "cgroup.kill", "1")
    except OSError:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        ended = _ended_within(pid, CHILD_SECONDS)
        os.waitpid(pid, 0)
    if not ended:
        raise OSError(errno.ETIME, "still there")


def _ended_within(pid: int, seconds: float) -> bool:
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _overrun(leaf: Path) -> None:
    """One process takes too much; another one, which did nothing, has to end with it."""
    _write(leaf / "memory.max", str(16 << 20))
    _write(leaf / "memory.swap.max", "0")
    _write(leaf / "memory.oom.group", "1")
    with _sleeper() as bystander:
        _write(leaf / "cgroup.procs", str(bystander))
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(read, 1)
            bytearray(64 << 20)
            os._exit(0)
        _write(leaf / "cgroup.procs", str(pid))
        os.write(write, b"1")
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != -signal.SIGKILL or not _ended_within(bystander, CHILD_SECONDS):
            raise OSError(errno.ETIME, "still there")


# ---- costs ----------------------------------------------------------------------------------


def _round(place: Path) -> Iterator[tuple[str, float]]:
    """A leaf's life, step by step, with the seconds that each took."""
    leaf = place / f"facts-{os.getpid()}"
    yield "leaf: mkdir", _timed(leaf.mkdir)
    yield "leaf: its five limits", _timed(lambda: _limit(leaf))
    with _sleeper() as pid:
        yield "leaf: move a process in", _timed(lambda: _write(leaf / "cgroup.procs", str(pid)))
    made: list[int] = []
    yield "leaf: clone3 into it", _timed(lambda: made.append(_clone3(leaf)))
    yield "leaf: kill, until reaped", _timed(partial(_kill_and_reap, leaf, made[0]))
    yield "leaf: rmdir", _timed(leaf.rmdir)


def _kill_and_reap(leaf: Path, pid: int) -> None:
    _write(leaf / "cgroup.kill", "1")
    os.waitpid(pid, 0)


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _fork_and_wait() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _costs(name: str, samples: list[float]) -> None:
    microseconds = [sample * 1e6 for sample in samples]
    _say(f"{name}, µs, median and worst of {len(samples)}",
         f"{statistics.median(microseconds):.0f} {max(microseconds):.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
