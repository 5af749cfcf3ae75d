"""Looking at the processes of a server from outside, by what /proc says."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Direct children of a process; empty when it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants_of(pid: int) -> list[int]:
    """Every process below ``pid``, parents first."""
    found = []
    waiting = children_of(pid)
    while waiting:
        child = waiting.pop(0)
        found.append(child)
        waiting.extend(children_of(child))
    return found


def command_line(pid: int) -> str:
    """The words of its command line, joined by spaces; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def outer_uid(pid: int) -> int:
    """The user id of a process as the host sees it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    raise AssertionError(f"no Uid of {pid}")


def is_deaf(pid: int) -> bool:
    """Whether it ignores SIGTERM, as nothing of ours does."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    ignored = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))
    return bool(ignored >> signal.SIGTERM - 1 & 1)


def private_tmp(pid: int) -> Path:
    """The /tmp that a process has in its own root."""
    return Path("/proc", str(pid), "root", "tmp")


def processes_of_mark(server_pid: int, mark: str) -> list[int]:
    """The processes of the cell in whose private /tmp an instance left this file."""
    found = []
    for pid in descendants_of(server_pid):
        with contextlib.suppress(OSError):  # it is gone, or is another user's
            if (private_tmp(pid) / mark).exists():
                found.append(pid)
    return found


def pid_namespace(pid: int) -> str:
    """The pid namespace of a process as ``/proc`` names it; "" when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except PermissionError:  # also the kernel's word when it ends between being found and being read
        if Path(f"/proc/{pid}").exists():
            raise
        return ""


def fronts_of(warden_pid: int) -> list[int]:
    """gunicorn's workers, without its master."""
    masters = [pid for pid in children_of(warden_pid) if "supervisor.front.server" in command_line(pid)]
    return [child for master in masters for child in children_of(master)]


def zygotes_of(warden_pid: int) -> list[int]:
    """The zygotes: children of the warden that run the worker's bootstrap outside of any cell."""
    return [
        pid
        for pid in children_of(warden_pid)
        if "_cellblock.zygote" in command_line(pid) and pid_namespace(pid) == pid_namespace(warden_pid)
    ]


def watch(pids: list[int]) -> list[int]:
    """A pidfd for each process that is alive."""
    watched = []
    for pid in pids:
        try:
            watched.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    return watched


def all_gone_within(pidfds: list[int], seconds: float) -> bool:
    """Whether every watched process ends in time; closes the descriptors."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = len(pidfds)
    try:
        while left:
            ready = poll.poll(seconds * 1000)
            if not ready:
                return False
            for pidfd, _ in ready:
                poll.unregister(pidfd)
                left -= 1
        return True
    finally:
        for pidfd in pidfds:
            os.close(pidfd)
