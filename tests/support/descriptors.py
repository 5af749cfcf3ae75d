"""What a process has open, and how many it may open, changed from outside while it runs."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import subprocess
from collections.abc import Iterator

from tests.support.processes import outer_uid

# Standard input, output and error; a poll of more descriptors than the limit would fail too.
STANDARD = 3


def open_in(pid: int) -> int:
    """The number of descriptors that a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def places_in(pid: int) -> dict[int, str]:
    """The descriptors that a process has open and what each is of, without what it closes meanwhile."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


@contextlib.contextmanager
def room_for(pid: int, more: int) -> Iterator[None]:
    """Let a process open so many descriptors more, until the end; its hard limit stays.

    With 0 it can open none, whatever it closes meanwhile but its standard streams.
    """
    before, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE) if _is_ours(pid) else _limits(pid)
    # The limit is about numbers, not about how many: those that are free below it count.
    taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    free = (number for number in range(hard) if number not in taken)
    _set(pid, next(itertools.islice(free, more, None)) if more else STANDARD, hard)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, subprocess.CalledProcessError):
            _set(pid, before, hard)  # unless it has ended


def _is_ours(pid: int) -> bool:
    return outer_uid(pid) == os.getuid()


def _limits(pid: int) -> tuple[int, int]:
    with open(f"/proc/{pid}/limits") as limits:
        (line,) = (line for line in limits if line.startswith("Max open files"))
    soft, hard = line.split()[3:5]
    return int(soft), int(hard)


def _set(pid: int, soft: int, hard: int) -> None:
    if _is_ours(pid):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        return
    # Root without CAP_SYS_RESOURCE may not; the process's own user may.
    uid = outer_uid(pid)
    command = ["prlimit", "--pid", str(pid), f"--nofile={soft}:{hard}"]
    subprocess.run(command, user=uid, group=uid, extra_groups=[], check=True, capture_output=True)
