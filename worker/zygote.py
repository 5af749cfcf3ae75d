"""The zygote: imports what cells will need, then does nothing but clone them.

It runs in a root of its own with a scrubbed environment, one thread and no secret: whatever it
holds, every cell can read.  Its second argument names a mount that was there for the interpreter's start
only, or is empty; the others are what to import ahead.  It hears one kind of message from the warden,
over the descriptor that its first argument names:

    {"do": "spawn", "network": "none" | "host", "tier"} with six descriptors:
        the cell's end of its set-up socket, then its request, reply, stdout, stderr and word pipe ends

and answers ``{"pid": n}``, with the cell's pidfd, or ``{"error": text}``.  Cells are the warden's
children (CLONE_PARENT), so the zygote reaps nothing and may be replaced while they live.
"""

import gc
import importlib
import linecache
import os
import signal
import socket
import sys
from array import array
from typing import List

import msgpack

from . import _syscalls as sys_
from . import cell_process, interpreter_hooks
from .imports import interpreter, network_refusals
from .sandbox import warmup
from .sandbox.lockdown_state import Materials

MESSAGE_MAX_BYTES = 4096
DESCRIPTORS_PER_CELL = 6
ANCILLARY_BYTES = socket.CMSG_SPACE(4 * DESCRIPTORS_PER_CELL)

# What every worker needs.  Nothing here may import ``threading``: each child of a fork would run its fork
# hook, which copies as many pages as everything else that a small process does.
OWN_IMPORTS = (
    ".serve.loop", "function", "function.context", "function.request", "function.secrets",
    "function.variables",
    # Many functions import these; they are small and have no extension module.
    "__future__", "atexit", "dataclasses", "string", "textwrap",
)  # fmt: skip

NAMESPACED_TIERS = ("A", "A-user")
CELL_FLAGS = (
    sys_.CLONE_PARENT | sys_.CLONE_NEWUSER | sys_.CLONE_NEWPID | sys_.CLONE_NEWNS | sys_.CLONE_NEWIPC
    | sys_.CLONE_NEWUTS
)  # fmt: skip


def import_ahead(names: List[str]) -> List[str]:
    """Import what is installed of ``names``; returns what is not.  A dot first: one of this package."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name, __package__)
        except ImportError:
            missing.append(name)
    return missing


def _take_away(folder: str) -> None:
    """Of the mount and its place nothing is left for cells to see; needs CAP_SYS_ADMIN."""
    sys_.umount_detached(folder)
    flags = sys_.MS_REMOUNT | sys_.MS_BIND | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("none", "/", "none", flags)
    os.rmdir(folder)
    sys_.mount("none", "/", "none", flags | sys_.MS_RDONLY)


def _keep_small_pages() -> None:
    """What cells copy stays in small pages: each first write into a huge one would split it first.

    And the kernel would make huge ones of a heap that is idle, which is memory that nobody asked for.
    Where the heap has to grow in a cell, glibc asks for huge pages, one for the first byte: 2 MiB more in
    each worker that allocates a little more than is left.  So here it ends with enough for that.
    """
    sys_.make_heap_last()
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.endswith("[heap]\n"):
                first, last = (int(end, 16) for end in line.split()[0].split("-"))
                sys_.madvise(first, last - first, sys_.MADV_NOHUGEPAGE)
    sys_.prctl(sys_.PR_SET_THP_DISABLE, 0)


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
    # What started us is no author's ``__main__``.
    for name in ("sys", "main"):
        vars(sys.modules["__main__"]).pop(name, None)
    # From 3.13 the text of our command is kept as the source of every "<string>": an author's own, too.
    linecache.clearcache()
    # Here and not in each cell, which would have to copy the pages.
    interpreter_hooks.install()
    # What a first run finds out about our own code is found out once.
    warmup.rehearse()
    # Objects of now are never looked at by a child's collector, so their pages stay shared.
    gc.collect()
    gc.freeze()
    if has_huge_pages:
        _keep_small_pages()
    control.send(msgpack.packb({"ready": True, "missing": missing}))
    while True:
        data, ancillary, _, _ = control.recvmsg(MESSAGE_MAX_BYTES, ANCILLARY_BYTES)
        if not data:
            return
        descriptors = array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(payload[: len(payload) - len(payload) % 4])
        message = msgpack.unpackb(data)
        _spawn(control, message["network"], message["tier"], list(descriptors))


def _spawn(control: socket.socket, network: str, tier: str, descriptors: List[int]) -> None:
    outer_ids = (os.getuid(), os.getgid())
    flags = sys_.CLONE_PARENT
    if tier in NAMESPACED_TIERS:
        flags = CELL_FLAGS | (sys_.CLONE_NEWNET if network == "none" else 0)
    try:
        pid = sys_.clone(flags)
    except OSError as error:  # EAGAIN, ENOMEM, ENOSPC: the warden backs off and says so
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(msgpack.packb({"error": str(error)}))
        return
    if pid == 0:
        control.close()
        setup, *pipes = descriptors
        request_fd, reply_fd, stdout_fd, stderr_fd, word_fd = pipes
        pipes_of_the_cell = (request_fd, reply_fd, stdout_fd, stderr_fd, word_fd)
        cell_process.run_pid_1(
            Materials(socket.socket(fileno=setup), pipes_of_the_cell, network, tier, outer_ids)
        )
        os._exit(1)  # run_pid_1 never returns; if it did, this process would serve as a zygote
    for descriptor in descriptors:
        os.close(descriptor)
    # The warden is the parent: until it reaps, the number cannot name another process.
    pidfd = os.pidfd_open(pid)
    try:
        control.sendmsg(
            [msgpack.packb({"pid": pid})],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [pidfd]))],
        )
    finally:
        os.close(pidfd)
