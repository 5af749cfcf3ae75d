"""What the counters of a cell's leaf say, and how they are heard: memory touched, limits met (v1 and v2).

Kernel events only wake whoever decides.  They count page cache and what ``/tmp`` holds, which are nobody's.
v1: an eventfd, told of a threshold of usage and of a task that is held at the limit.  v2: the files
``memory.events`` and ``pids.events``, which an epoll hears as exceptional.  That of v1 does not ring.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Mapping
from typing import NamedTuple

from supervisor.warden.jail.cgroup_hierarchies import READ_BYTES, Place, read, write
from supervisor.warden.jail.cgroups import Budget, settings_of

# Lines of memory.stat: what is mapped and no file's, and what is shared or in a tmpfs.
PEAK_AND_LIMIT = ("memory.max_usage_in_bytes", "memory.limit_in_bytes")
# A process takes so much ahead, so the peak may stay that much below the limit; a huge page is more.
CHARGED_AT_ONCE_BYTES = 4 << 20
TOUCHED = {1: (b"total_rss", b"total_shmem"), 2: (b"anon", b"shmem")}


class Counted(NamedTuple):
    """Bytes: what the group's processes have touched that is no file's, what of it is shared or in a tmpfs,
    and all that is charged to the group, page cache and the kernel's own included."""

    anonymous: int
    shared: int
    usage: int


def _numbers(text: bytes) -> dict[bytes, int]:
    return {name: int(value) for name, _, value in (line.partition(b" ") for line in text.splitlines())}


class Meter:
    """Of one leaf; what it holds open goes with ``close``."""

    def __init__(self, folders: Mapping[str, Place]) -> None:
        self._memory = folders.get("memory")
        self._pids = folders.get("pids")
        # Readable, or exceptional, when something happened: by the kind of event that an epoll asks for.
        self.bell = -1
        self.processes_bell = -1

    @property
    def counts_memory(self) -> bool:
        """Whether the kernel counts memory here."""
        return self._memory is not None

    def listen(self, bells: select.epoll) -> None:
        """From now on it rings there.  OSError when there are no descriptors left."""
        if self._pids is not None:
            with contextlib.suppress(FileNotFoundError):  # before Linux 4.3
                self.processes_bell = os.open(f"{self._pids.path}/pids.events", os.O_RDONLY | os.O_CLOEXEC)
                self.has_met_processes()
                bells.register(self.processes_bell, select.EPOLLPRI)
        if self._memory is None:
            return
        if self._memory.version == 1:
            self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._register("memory.oom_control")
            # Who is held can still be told, and nobody else has to hurry; killed by the kernel it would be
            # one process, which leaves half a cell.
            with contextlib.suppress(OSError):  # a kernel that has it no more
                write(f"{self._memory.path}/memory.oom_control", "1")
        else:
            self.bell = os.open(f"{self._memory.path}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        self.hear(bells)

    def hear(self, bells: select.epoll) -> None:
        """Ring from now on."""
        assert self._memory is not None
        self.rung()
        bells.register(self.bell, select.EPOLLIN if self._memory.version == 1 else select.EPOLLPRI)

    def deafen(self, bells: select.epoll) -> None:
        """Ring no more: who makes it ring a thousand times a second is looked at when its time has come."""
        bells.unregister(self.bell)

    def rung(self) -> None:
        """It was heard."""
        assert self._memory is not None
        if self._memory.version == 1:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.bell)
        else:
            os.pread(self.bell, READ_BYTES, 0)

    def has_met_processes(self) -> bool:
        """Whether a process or a thread was refused."""
        try:
            return _numbers(os.pread(self.processes_bell, READ_BYTES, 0)).get(b"max", 0) > 0
        except OSError:  # it has just ended
            return False

    def _register(self, file: str, argument: str = "") -> None:
        assert self._memory is not None
        descriptor = os.open(f"{self._memory.path}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            write(
                f"{self._memory.path}/cgroup.event_control", f"{self.bell} {descriptor} {argument}".rstrip()
            )
        finally:
            os.close(descriptor)

    def wake_at(self, usage_bytes: int) -> None:
        """Ring when so much is charged, on v1.

        The kernel waits for an RCU grace period (8 ms here): never on the loop.  OSError.
        """
        if self._memory is not None and self._memory.version == 1:
            self._register("memory.usage_in_bytes", str(usage_bytes))

    def slow_down_at(self, usage_bytes: int) -> None:
        """Ring, and have who takes more wait a little each time, on v2.

        Cheap above what is charged; below it the kernel has the writer give up the cell's pages first.
        """
        if self._memory is not None and self._memory.version == 2:
            with contextlib.suppress(OSError):  # it has just ended
                write(f"{self._memory.path}/memory.high", str(usage_bytes))

    def hold_at(self, usage_bytes: int) -> None:
        """Move the limit of v1, at which who touches more is held until somebody has decided."""
        if self._memory is None or self._memory.version != 1:
            return
        with contextlib.suppress(OSError):  # it has just ended
            for file, text in settings_of("memory", 1, Budget(usage_bytes, 0, 0)):
                with contextlib.suppress(FileNotFoundError):
                    write(f"{self._memory.path}/{file}", text)

    def look(self) -> Counted | None:
        """None once it has ended, and where nobody counts."""
        place = self._memory
        if place is None:
            return None
        try:
            stat = _numbers(read(f"{place.path}/memory.stat"))
            usage = int(
                read(f"{place.path}/{'memory.usage_in_bytes' if place.version == 1 else 'memory.current'}")
            )
        except (OSError, ValueError):
            return None
        anonymous, shared = TOUCHED[place.version]
        return Counted(stat[anonymous], stat[shared], usage)

    def is_held(self) -> bool:
        """Whether somebody waits at v1's limit."""
        if self._memory is None or self._memory.version != 1:
            return False
        try:
            control = _numbers(read(f"{self._memory.path}/memory.oom_control"))
        except OSError:
            return False
        # Where all cells together met their limit, each of them is marked.
        return bool(control[b"under_oom"]) and self.has_met_its_limit()

    def has_met_its_limit(self) -> bool:
        """Whether its own memory limit was ever in the way; True where that cannot be told."""
        if self._memory is None:
            return True
        try:
            if self._memory.version == 2:
                # Where all cells together met theirs, only the group above counts an "oom".
                return _numbers(read(f"{self._memory.path}/memory.events"))[b"oom"] > 0
            most, limit = (int(read(f"{self._memory.path}/{file}")) for file in PEAK_AND_LIMIT)
        except (OSError, ValueError, KeyError):
            return True
        # By its peak: memory.failcnt, which says it in so many words, stays 0 on Linux 6.18.
        return most + CHARGED_AT_ONCE_BYTES >= limit

    def kills(self) -> int:
        """How many processes the kernel has killed for memory, while the leaf is there."""
        if self._memory is None:
            return 0
        file = "memory.oom_control" if self._memory.version == 1 else "memory.events"
        try:
            return _numbers(read(f"{self._memory.path}/{file}")).get(b"oom_kill", 0)
        except OSError:
            return 0

    def most_usage(self) -> int:
        """All that was charged at the peak; 0 where that is not told (v2 before Linux 5.19)."""
        if self._memory is None:
            return 0
        file = "memory.max_usage_in_bytes" if self._memory.version == 1 else "memory.peak"
        try:
            return int(read(f"{self._memory.path}/{file}"))
        except (OSError, ValueError):
            return 0

    def silence(self, bells: select.epoll) -> None:
        """It has ended: nothing of it rings any more."""
        for descriptor in (self.bell, self.processes_bell):
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # it was not to be heard just now
                    bells.unregister(descriptor)

    def close(self) -> None:
        """Close what it holds open."""
        for descriptor in (self.bell, self.processes_bell):
            if descriptor >= 0:
                os.close(descriptor)
        self.bell = self.processes_bell = -1

    def forget_processes(self, bells: select.epoll) -> None:
        """They were met: once is enough."""
        bells.unregister(self.processes_bell)
        os.close(self.processes_bell)
        self.processes_bell = -1
