"""What the steps of the lock-down work on: a cell's descriptors, and what the warden said of it."""

import os
import socket
from typing import List, Tuple

from ..setup_messages import Surroundings, Tie

INNER_UID = 1000
INNER_GID = 1000
REQUEST_FD, REPLY_FD, SETUP_FD = 3, 4, 5
FIRST_FOREIGN_FD = 6
# Of a worker that forks a process for each call: the pipe to pid 1, and the pipe from it.
SAID_FD, LEAVE_FD = 6, 7
# Until the worker is sealed: the pipe that brings its tie, and the pipe whose closing says that it is sealed.
TIE_FD, SEALED_FD = 8, 9
# No worker, tied or not, has a descriptor from here on.
UNUSED_FD = 10
# A blank cell's /tmp is small: it holds nothing before its function is known.
BLANK_TMP_BYTES = 1 << 20
BLANK_MEMORY_BYTES = 128 << 20
# /tmp and /dev/shm have one inode for so many bytes.  An inode costs about a KiB of memory that no size limit
# counts.
BYTES_PER_INODE = 4096
SHM_BYTES = 16 << 20
MEMFD_KNOB = "/proc/sys/vm/memfd_noexec"


class Materials:
    """The state of one cell's lock-down: its descriptors, and the tie once it is known."""

    def __init__(
        self,
        setup: socket.socket,
        pipes: Tuple[int, int, int, int, int],
        network: str,
        tier: str,
        outer_ids: Tuple[int, int],
    ) -> None:
        self.setup = setup
        # The last one is pid 1's own pipe to the front (``worker.fresh.keeper``).
        self.request_fd, self.reply_fd, self.stdout_fd, self.stderr_fd, self.word_fd = pipes
        # Pipes between the worker and pid 1, which makes them (``worker.cell_process``).
        self.sealed_fd = self.said_fd = self.leave_fd = self.tie_fd = -1
        self.network = network
        self.tier = tier
        # The ids from before the clone: in the new user namespace they mean nothing until a map is written.
        self.outer_ids = outer_ids
        sizes = (BLANK_MEMORY_BYTES, BLANK_TMP_BYTES, 256, 64)
        self.tie = Tie(False, *sizes, "/function", "/tmp", [], 0, False, {})
        self.surroundings = Surroundings(b"", 0, {}, 0, False, 0)
        self.code_fd = -1
        # A mount of the cell's own device nodes, -1 if the host gives none; and standard input.
        self.devices_fd = self.null_fd = -1
        self.has_own_devices = False
        self.parent_pid = 1
        # The limit of the worker's private memory, the zygote's share included; known with the tie.
        self.data_bytes = 0
        # Linux 6.3 and later, and only for the host's root.  Looked for now, before a step hides the file.
        self.has_memfd_knob = self.has_own_ids and os.access(MEMFD_KNOB, os.W_OK)
        # What the warden publishes: (layer, "enforced", "degraded" or "absent", evidence or reason).
        self.proof: List[Tuple[str, str, str]] = []

    @property
    def has_namespaces(self) -> bool:
        """Whether the cell has a root, processes and a network of its own."""
        return self.tier in ("A", "A-user")

    @property
    def shared_fds(self) -> List[int]:
        """The descriptors that every process of the function has; the lock-down makes them 0 to 4."""
        return [self.null_fd, self.stdout_fd, self.stderr_fd, self.request_fd, self.reply_fd]

    @property
    def forks_calls(self) -> bool:
        """Whether the worker forks a process for each call; pid 1 needs namespaces to find what is left."""
        return self.tie.is_fresh and self.has_namespaces

    @property
    def first_foreign_fd(self) -> int:
        """A tied worker has no descriptor from this number on."""
        return LEAVE_FD + 1 if self.forks_calls else FIRST_FOREIGN_FD

    @property
    def has_own_ids(self) -> bool:
        """Whether the cell has outer ids that no other process of the host has."""
        return self.tier == "A"
