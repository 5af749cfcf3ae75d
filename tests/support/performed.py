"""System calls really made in forked children, with or without a filter, and what came of them.

A result is "ok", the name of an errno, "SIG…" for a child that was killed, "exit N", or "hung".
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from seccomp.install import install

REPOSITORY = Path(__file__).parents[2]
DEADLINE_SECONDS = 100
CALL_SECONDS = 5.0
PR_SET_NO_NEW_PRIVS = 38
EXIT_CODE = 77

# x86-64 machine code that is called as a function: (int 0x80) getpid of 32-bit programs;
# and vfork, whose child leaves at once, for it runs on its parent's stack.
MACHINE_CODE = {
    "int80": bytes.fromhex("b814000000" "cd80" "c3"),
    "vfork": bytes.fromhex("b83a000000" "0f05" "85c0" "7401" "c3" "31ff" "b83c000000" "0f05"),
}  # fmt: skip

# (how, number, arguments); how is "call", or a key of MACHINE_CODE.
Call = tuple[str, int, Sequence[int]]


def perform(calls: Sequence[Call], program: bytes | None, *, together: bool = False) -> list[str]:
    """The result of each call, under ``program`` or, with None, without any filter.

    Each has a child of its own, unless they run ``together``: one child makes them in their order until it
    dies of one, and another goes on behind that.  For calls that should all be refused.
    """
    asked = {
        "program": program.hex() if program is not None else None, "calls": calls, "together": together,
    }  # fmt: skip
    # Not to disturb, and not to be disturbed by, whatever threads and handlers the tests have.
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.performed"], input=json.dumps(asked), capture_output=True,
        text=True, timeout=DEADLINE_SECONDS, cwd=REPOSITORY, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    assert len(found) == len(calls)
    return found


def _signed(argument: int) -> ctypes.c_long:
    return ctypes.c_long(argument - (1 << 64) if argument >= 1 << 63 else argument)


def _make(libc: ctypes.CDLL, how: str, number: int, arguments: Sequence[int]) -> str:
    ctypes.set_errno(0)
    if how == "call":
        passed = [_signed(argument) for argument in arguments]
        me = os.getpid()
        result = libc.syscall(ctypes.c_long(number), *passed)
        if os.getpid() != me:
            os._exit(0)  # fork or clone: this is the child
        return "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno()))
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(MACHINE_CODE[how])
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    value = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
    return "ok" if value >= 0 else errno.errorcode.get(-value, str(-value))


def _child(write_fd: int, calls: Sequence[Call], program: bytes | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What waits for a signal gets one, again and again: the first may come too early.
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if program is not None:
        install(program)
    for call in calls:
        os.write(write_fd, _make(libc, *call).encode() + b"\n")
    os._exit(0)


def _results(calls: Sequence[Call], program: bytes | None) -> list[str]:
    """Those of one child: of all calls, or up to the one that it died of."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_fd)
            _child(write_fd, calls, program)
        except BaseException as error:
            os.write(write_fd, repr(error).encode() + b"\n")
        finally:
            os._exit(1)
    os.close(write_fd)
    text, is_hung = b"", False
    while not is_hung:
        is_hung = not select.select([read_fd], [], [], CALL_SECONDS)[0]
        data = b"" if is_hung else os.read(read_fd, 65536)
        if not data:
            break
        text += data
    if is_hung:
        os.kill(pid, signal.SIGKILL)
    os.close(read_fd)
    status = os.waitpid(pid, 0)[1]
    found = text.decode().splitlines()
    if len(found) < len(calls):
        if is_hung:
            found.append("hung")
        elif os.WIFSIGNALED(status):
            found.append(signal.Signals(os.WTERMSIG(status)).name)
        else:
            found.append(f"exit {os.WEXITSTATUS(status)}")
    return found


def main() -> None:
    """The calls of standard input, one after the other; their results to standard output."""
    asked = json.load(sys.stdin)
    program = bytes.fromhex(asked["program"]) if asked["program"] is not None else None
    calls, found = asked["calls"], []
    while len(found) < len(calls):
        most = len(calls) if asked["together"] else len(found) + 1
        found += _results(calls[len(found) : most], program)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
