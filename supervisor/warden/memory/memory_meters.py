"""Reads the counters of a cell's cgroup, and opens its events: memory touched, limits met (v1 and v2).

An event only wakes the memory guard, which reads the counters then: events also count page cache and files in
``/tmp``, which no limit of ours counts.  On v1 an eventfd signals that usage passed a threshold, or that a
task was stopped at the limit.  On v2 the files ``memory.events`` and ``pids.events`` become exceptional
(EPOLLPRI).  v1 has no event for its pids limit.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Mapping
from typing import NamedTuple

from supervisor.warden.jail.cgroup_hierarchies import LIMIT_FILES, READ_BYTES, CgroupFolder, read, write
from supervisor.warden.jail.cgroups import Budget, settings_of

# Files with the peak and with the limit, on v1.
PEAK_AND_LIMIT = ("memory.max_usage_in_bytes", LIMIT_FILES["memory"][1])
# The kernel charges memory in batches, so the peak may stay this much below the limit that was met.
CHARGED_AT_ONCE_BYTES = 4 << 20
# Version → the fields of memory.stat for anonymous memory, and for shared memory with files in a tmpfs.
TOUCHED_FIELDS = {1: (b"total_rss", b"total_shmem"), 2: (b"anon", b"shmem")}


class CountedMemory(NamedTuple):
    """Bytes that are charged to a group."""

    anonymous: int
    # Shared memory, and files in a tmpfs.
    shared: int
    # Everything, with page cache and the kernel's own memory.
    usage: int


def _numbers(text: bytes) -> dict[bytes, int]:
    return {name: int(value) for name, _, value in (line.partition(b" ") for line in text.splitlines())}


class Meter:
    """Reads one leaf.  ``close`` closes the event descriptors."""

    def __init__(self, folders: Mapping[str, CgroupFolder]) -> None:
        self._memory = folders.get("memory")
        self._pids = folders.get("pids")
        # Descriptors for an epoll; -1 if not open.
        self.memory_event_fd = -1
        self.pids_event_fd = -1

    @property
    def counts_memory(self) -> bool:
        """Whether the leaf has the memory controller."""
        return self._memory is not None

    def open_events(self, epoll: select.epoll) -> None:
        """Open the events and register them with ``epoll``.  Raises OSError if descriptors run out."""
        if self._pids is not None:
            with contextlib.suppress(FileNotFoundError):  # before Linux 4.3
                self.pids_event_fd = os.open(f"{self._pids.path}/pids.events", os.O_RDONLY | os.O_CLOEXEC)
                self.has_met_pids_limit()
                epoll.register(self.pids_event_fd, select.EPOLLPRI)
        if self._memory is None:
            return
        if self._memory.version == 1:
            self.memory_event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._register("memory.oom_control")
            # Have the kernel stop a process at the limit, and not kill it: it would kill one process and
            # leave half a cell, and a stopped one can still get its MemoryError.
            with contextlib.suppress(OSError):  # the kernel may lack this
                write(f"{self._memory.path}/memory.oom_control", "1")
        else:
            self.memory_event_fd = os.open(f"{self._memory.path}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        self.arm(epoll)

    def arm(self, epoll: select.epoll) -> None:
        """Register the memory event, after clearing an old one."""
        assert self._memory is not None
        self.clear_event()
        epoll.register(self.memory_event_fd, select.EPOLLIN if self._memory.version == 1 else select.EPOLLPRI)

    def disarm(self, epoll: select.epoll) -> None:
        """Unregister the memory event, for a cell that causes a thousand a second; ``arm`` undoes it."""
        epoll.unregister(self.memory_event_fd)

    def clear_event(self) -> None:
        """Read the memory event, so that the next one wakes the epoll again."""
        assert self._memory is not None
        if self._memory.version == 1:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.memory_event_fd)
        else:
            os.pread(self.memory_event_fd, READ_BYTES, 0)

    def has_met_pids_limit(self) -> bool:
        """Whether the kernel has refused the cell a process or a thread."""
        try:
            return _numbers(os.pread(self.pids_event_fd, READ_BYTES, 0)).get(b"max", 0) > 0
        except OSError:  # the cell has ended
            return False

    def _register(self, file: str, argument: str = "") -> None:
        assert self._memory is not None
        descriptor = os.open(f"{self._memory.path}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            told = f"{self.memory_event_fd} {descriptor} {argument}".rstrip()
            write(f"{self._memory.path}/cgroup.event_control", told)
        finally:
            os.close(descriptor)

    def wake_at(self, usage_bytes: int) -> None:
        """On v1: send an event when usage reaches this.

        The kernel waits for an RCU grace period (8 ms here), so never on the loop.  Raises OSError.
        """
        if self._memory is not None and self._memory.version == 1:
            self._register("memory.usage_in_bytes", str(usage_bytes))

    def slow_down_at(self, usage_bytes: int) -> None:
        """On v2: send events above this usage, and slow down processes that take more.

        Cheap if usage is lower.  If it is higher, the kernel makes the writer, us, reclaim the cell's pages
        first.
        """
        if self._memory is not None and self._memory.version == 2:
            with contextlib.suppress(OSError):  # the cell has ended
                write(f"{self._memory.path}/memory.high", str(usage_bytes))

    def hold_at(self, usage_bytes: int) -> None:
        """On v1: move the limit at which the kernel stops a process that touches more."""
        if self._memory is None or self._memory.version != 1:
            return
        with contextlib.suppress(OSError):  # the cell has ended
            for file, text in settings_of("memory", 1, Budget(usage_bytes, 0, 0)):
                with contextlib.suppress(FileNotFoundError):
                    write(f"{self._memory.path}/{file}", text)

    def look(self) -> CountedMemory | None:
        """Read the counters.  None if the cell has ended, or without the memory controller."""
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
        anonymous, shared = TOUCHED_FIELDS[place.version]
        return CountedMemory(stat[anonymous], stat[shared], usage)

    def is_held(self) -> bool:
        """Whether a process is stopped at the limit (v1)."""
        if self._memory is None or self._memory.version != 1:
            return False
        try:
            control = _numbers(read(f"{self._memory.path}/memory.oom_control"))
        except OSError:
            return False
        # under_oom is also set in each cell when all cells together met their limit.
        return bool(control[b"under_oom"]) and self.has_met_its_limit()

    def has_met_its_limit(self) -> bool:
        """Whether the cell has ever met its own limit; True if that cannot be known."""
        if self._memory is None:
            return True
        try:
            if self._memory.version == 2:
                # When all cells together meet their limit, only the group above them counts an "oom".
                return _numbers(read(f"{self._memory.path}/memory.events"))[b"oom"] > 0
            most, limit = (int(read(f"{self._memory.path}/{file}")) for file in PEAK_AND_LIMIT)
        except (OSError, ValueError, KeyError):
            return True
        # By its peak: memory.failcnt, which should count this, stays 0 on Linux 6.18.
        return most + CHARGED_AT_ONCE_BYTES >= limit

    def kills(self) -> int:
        """How many of the cell's processes the kernel has killed for memory; 0 once the leaf is removed."""
        if self._memory is None:
            return 0
        file = "memory.oom_control" if self._memory.version == 1 else "memory.events"
        try:
            return _numbers(read(f"{self._memory.path}/{file}")).get(b"oom_kill", 0)
        except OSError:
            return 0

    def most_usage(self) -> int:
        """The peak of the usage; 0 where the kernel does not record it (v2 before Linux 5.19)."""
        if self._memory is None:
            return 0
        file = "memory.max_usage_in_bytes" if self._memory.version == 1 else "memory.peak"
        try:
            return int(read(f"{self._memory.path}/{file}"))
        except (OSError, ValueError):
            return 0

    def stop_events(self, epoll: select.epoll) -> None:
        """Unregister all events: the cell has ended."""
        for descriptor in (self.memory_event_fd, self.pids_event_fd):
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # it is disarmed just now
                    epoll.unregister(descriptor)

    def close(self) -> None:
        """Close the event descriptors."""
        for descriptor in (self.memory_event_fd, self.pids_event_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.memory_event_fd = self.pids_event_fd = -1

    def close_pids_events(self, epoll: select.epoll) -> None:
        """Close the event of the pids limit: one is enough."""
        epoll.unregister(self.pids_event_fd)
        os.close(self.pids_event_fd)
        self.pids_event_fd = -1
