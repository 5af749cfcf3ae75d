"""The zygote: imports what cells will need, then does nothing but clone them.

It runs in a root of its own with a scrubbed environment, one thread and no secret: every cell can read all
that it holds.  Its first argument is the descriptor of its socket to the warden (``zygote_messages``).  The
second names a mount that only the interpreter's start needs, or is empty; the others are what to import.

Cells are the warden's children (CLONE_PARENT), so the zygote reaps nothing and may be replaced while they
live.
"""

import gc
import importlib
import linecache
import os
import signal
import socket
import sys
from array import array
from typing import Any, List

import msgpack

from . import _syscalls as sys_
from . import cell_process, interpreter_hooks
from .imports import interpreter, network_refusals
from .sandbox import warmup
from .sandbox.lockdown_state import Materials
from .zygote_messages import (
    DESCRIPTORS_PER_CELL,
    NAMESPACED_TIERS,
    REASON_MOST_CHARS,
    TO_ZYGOTE,
    ZYGOTE,
    Ready,
    Spawn,
    Spawned,
    SpawnFailed,
)

MESSAGE_MAX_BYTES = 4096
ANCILLARY_BYTES = socket.CMSG_SPACE(4 * DESCRIPTORS_PER_CELL)

# Python's allocator: objects of up to 512 bytes, in steps of 16, come from pools of blocks of one size.
SMALL_STEP_BYTES, SMALL_MOST_BYTES = 16, 512
POOL_BYTES = 1 << 14 if sys.version_info >= (3, 10) else 1 << 12
POOL_HEAD_BYTES = 48
BYTES_HEAD = sys.getsizeof(b"")
FIRST_NUMBER = 1 << 30  # such numbers have 28 bytes each, and are not cached
# Of one size; with another allocator there would be no end.
FILLERS_MOST = 4096

# What every worker needs.  Nothing here may import ``threading``: each child of a fork would run its fork
# hook, which copies as many pages as everything else that a small process does.
OWN_IMPORTS = (
    ".serve.loop", "function", "function.context", "function.request", "function.secrets",
    "function.variables",
    # Many functions import these; they are small and have no extension module.
    "__future__", "atexit", "dataclasses", "string", "textwrap",
)  # fmt: skip

CELL_FLAGS = (
    sys_.CLONE_PARENT | sys_.CLONE_NEWUSER | sys_.CLONE_NEWPID | sys_.CLONE_NEWNS | sys_.CLONE_NEWIPC
    | sys_.CLONE_NEWUTS
)  # fmt: skip


def import_ahead(names: List[str]) -> List[str]:
    """Import those of ``names`` that are installed, and return the others.  A dot first: of this package."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name, __package__)
        except ImportError:
            missing.append(name)
    return missing


def _take_away(folder: str) -> None:
    """Remove the mount and its folder, so that no cell sees them; needs CAP_SYS_ADMIN."""
    sys_.umount_detached(folder)
    flags = sys_.MS_REMOUNT | sys_.MS_BIND | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("none", "/", "none", flags)
    os.rmdir(folder)
    sys_.mount("none", "/", "none", flags | sys_.MS_RDONLY)


def _keep_small_pages() -> None:
    """Keeps the heap, which cells copy on write, in small pages: a write into a huge page splits it first.

    The kernel would also make huge pages of an idle heap, which is memory that nobody asked for.  When the
    heap grows in a cell, glibc takes a whole huge page: 2 MiB more in each worker that allocates a little
    more than is left.  So the heap ends here with enough room for that.
    """
    sys_.make_heap_last()
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.endswith("[heap]\n"):
                first, last = (int(end, 16) for end in line.split()[0].split("-"))
                sys_.madvise(first, last - first, sys_.MADV_NOHUGEPAGE)
    sys_.prctl(sys_.PR_SET_THP_DISABLE, 0)


def _fill_small_blocks() -> List[object]:
    """Objects that take every free block between the objects of now; the caller keeps them.

    A cell's small objects then lie side by side on pages of their own.  In free blocks between shared objects
    each would have a page copied: 100 KiB more in a worker, 40 KiB in a pid 1.
    """
    fillers: List[object] = []
    for size in range(SMALL_STEP_BYTES, SMALL_MOST_BYTES + 1, SMALL_STEP_BYTES):
        for number in range(FILLERS_MOST):
            filler: object = bytes(max(0, size - BYTES_HEAD))
            if size <= BYTES_HEAD:  # an empty bytes object is larger
                filler = object() if size == SMALL_STEP_BYTES else FIRST_NUMBER + number
            if id(filler) % POOL_BYTES == POOL_HEAD_BYTES:
                break  # the first block of a new pool: no free one is left in the others
            fillers.append(filler)
    return fillers


def main() -> None:
    """Import, say so, then clone cells until the warden hangs up."""
    os.umask(0o077)
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    passing, *names = sys.argv[2:]
    if passing:
        _take_away(passing)
    has_huge_pages = os.environ.pop("GLIBC_TUNABLES", None) is not None
    if has_huge_pages:
        sys_.prctl(sys_.PR_SET_THP_DISABLE, 1)  # only functions are to have huge pages
    interpreter.as_plain()
    network_refusals.forbid()  # before any library copies the functions that this replaces
    missing = import_ahead([*OWN_IMPORTS, *names])
    # An author's code finds no trace of our command in ``__main__``.
    for name in ("sys", "main"):
        vars(sys.modules["__main__"]).pop(name, None)
    # From 3.13 Python shows the text of our command as the source of any "<string>", an author's too.
    linecache.clearcache()
    getattr(linecache, "_interactive_cache", {}).clear()  # where later releases of 3.13 keep it
    # Here and not in each cell, which would have to copy the pages.
    interpreter_hooks.install()
    # The interpreter specialises our code in its first runs: here once, instead of in each cell.
    warmup.rehearse()
    # A child's collector never looks at the objects of now, so their pages stay shared.
    gc.freeze()
    fillers = _fill_small_blocks()  # noqa: F841 - kept
    sys_.fill_heap()
    if has_huge_pages:
        _keep_small_pages()
    zygote = os.getpid()
    try:
        control.send(_packed(Ready(missing)))
        _serve(control, importlib.import_module(".serve.loop", __package__).run)
    except ConnectionError:
        if os.getpid() != zygote:
            raise
    # The warden has hung up, and nobody hears what libraries would say at the interpreter's end.
    os._exit(0)


def _serve(control: socket.socket, serve: cell_process.Serve) -> None:
    """Clone a cell for each message until the warden hangs up."""
    while True:
        data, ancillary, _, _ = control.recvmsg(MESSAGE_MAX_BYTES, ANCILLARY_BYTES)
        if not data:
            return
        descriptors = array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(payload[: len(payload) - len(payload) % 4])
        # The one message that a zygote hears.
        spawn = ZYGOTE.decode(TO_ZYGOTE, msgpack.unpackb(data), len(descriptors))
        _spawn(control, spawn, list(descriptors), serve)


def _packed(message: Any) -> bytes:
    data: bytes = msgpack.packb(ZYGOTE.encode(message))
    return data


def _spawn(control: socket.socket, spawn: Spawn, descriptors: List[int], serve: cell_process.Serve) -> None:
    network, tier = spawn.network, spawn.tier
    outer_ids = (os.getuid(), os.getgid())
    flags = sys_.CLONE_PARENT
    if tier in NAMESPACED_TIERS:
        flags = CELL_FLAGS | (sys_.CLONE_NEWNET if network == "none" else 0)
    try:
        pid = sys_.clone(flags)
    except OSError as error:  # EAGAIN, ENOMEM, ENOSPC: the warden backs off and says so
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(_packed(SpawnFailed(str(error)[:REASON_MOST_CHARS])))
        return
    if pid == 0:
        control.close()
        setup, *pipes = descriptors
        request_fd, reply_fd, stdout_fd, stderr_fd, word_fd = pipes
        pipes_of_the_cell = (request_fd, reply_fd, stdout_fd, stderr_fd, word_fd)
        cell_process.run_pid_1(
            Materials(socket.socket(fileno=setup), pipes_of_the_cell, network, tier, outer_ids), serve
        )
        os._exit(1)  # run_pid_1 never returns; if it did, this process would serve as a zygote
    for descriptor in descriptors:
        os.close(descriptor)
    # The warden is the parent: until it reaps, the number cannot name another process.
    pidfd = os.pidfd_open(pid)
    try:
        control.sendmsg(
            [_packed(Spawned(pid))],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [pidfd]))],
        )
    finally:
        os.close(pidfd)
