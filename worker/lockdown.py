"""The containment steps of a cell, in their order.

Actors.  *pid 1* is made by the zygote with all its namespaces at once; the warden writes its id
maps, then it runs BUILD and forks the *worker*.  The worker waits, blank, until the warden ties it
to a function; then it runs TIE.  When TIE has ended the tenant's code may be imported.

Rule 1: every step raises when it fails, and a cell whose step raised never serves.
Rule 2: an order is a list; each step says why it stands where it stands.
Rule 3: nothing here is read from the tenant.

Steps that another layer will add have their place named in PLACES_LEFT.
"""

import os
import random
import resource
import socket
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from worker import _syscalls as sys_

INNER_UID = 1000
INNER_GID = 1000
FUNCTION_DIR = "/function"
REQUEST_FD, REPLY_FD = 3, 4
FIRST_FOREIGN_FD = 5
# A blank cell's /tmp before its function's size is known: small, it holds nothing yet.
BLANK_TMP_BYTES = 1 << 20
# One inode costs about a KiB of kernel memory that no size limit counts.
BYTES_PER_INODE = 4096
SHM_BYTES = 16 << 20


class LockdownError(Exception):
    """A step failed; ``step`` names it."""

    def __init__(self, step: str, cause: BaseException) -> None:
        super().__init__("%s: %s" % (step, cause))
        self.step = step


class Tie(NamedTuple):
    """What the warden says of the function that a blank cell becomes."""

    has_code: bool
    tmp_bytes: int
    open_files: int
    processes: int


class Materials:
    """What the steps work on: descriptors of the cell, and the tie once it is known."""

    def __init__(self, setup: socket.socket, pipes: Tuple[int, int, int, int], network: str) -> None:
        self.setup = setup
        self.request_fd, self.reply_fd, self.stdout_fd, self.stderr_fd = pipes
        self.network = network
        self.tie: Tie = Tie(False, BLANK_TMP_BYTES, 256, 64)
        self.code_fd = -1


Step = Callable[[Materials], None]


# ---- BUILD: pid 1, inner root, tenant-neutral ------------------------------------------------


def _ids(_: Materials) -> None:
    """Become inner 0, whose outer id is this cell's alone: until now the outer id is the host's root."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _no_nested_namespaces(_: Materials) -> None:
    """No namespaces inside the cell: each is a large kernel surface.  Needs the full /proc."""
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
        with open("/proc/sys/user/max_%s_namespaces" % kind, "w") as knob:
            knob.write("0")


def _session(_: Materials) -> None:
    """A session of its own: no terminal to inject into (CVE-2017-5226)."""
    os.setsid()
    sys_.sethostname("cell")


def _mounts(_: Materials) -> None:
    """Private /tmp and /dev/shm; a /proc of this pid namespace that shows processes only."""
    safe = sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("tmpfs", "/tmp", "tmpfs", safe, _tmpfs(BLANK_TMP_BYTES))
    sys_.mount("tmpfs", "/dev/shm", "tmpfs", safe | sys_.MS_NOEXEC, _tmpfs(SHM_BYTES))
    # subset=pid leaves out /proc/sys, whose files obey user ids rather than capabilities.
    sys_.mount("proc", "/proc", "proc", safe | sys_.MS_NOEXEC, "subset=pid,hidepid=invisible")


def _loopback(materials: Materials) -> None:
    """``lo`` up where the network is the cell's own: many libraries talk to themselves over it."""
    if materials.network == "none":
        sys_.loopback_up()


BUILD: List[Tuple[str, Step]] = [
    ("ids", _ids),
    ("no-nested-namespaces", _no_nested_namespaces),  # before mounts: they hide /proc/sys
    ("session", _session),
    ("mounts", _mounts),
    ("loopback", _loopback),
]


# ---- TIE: the worker, once it belongs to a function ------------------------------------------


def _code(materials: Materials) -> None:
    """The bundle at /function, by a detached mount: needs CAP_SYS_ADMIN of the cell, so first."""
    if materials.tie.has_code:
        sys_.move_mount(materials.code_fd, FUNCTION_DIR)
        os.close(materials.code_fd)


def _tmp_size(materials: Materials) -> None:
    """/tmp at this function's size: a remount, so while CAP_SYS_ADMIN is still there."""
    flags = sys_.MS_REMOUNT | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("tmpfs", "/tmp", "tmpfs", flags, _tmpfs(materials.tie.tmp_bytes))


def _rlimits(materials: Materials) -> None:
    """Hard = soft, so that nothing can be raised again; irreversible without capabilities."""
    tie = materials.tie
    for kind, most in (
        # 1 and not 0: a core_pattern that is a pipe ignores 0 and honours 1.
        (resource.RLIMIT_CORE, 1),
        (resource.RLIMIT_NPROC, tie.processes),  # the backstop of the pids controller
        (resource.RLIMIT_STACK, 8 << 20),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 256),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _capability_bounds(_: Materials) -> None:
    """No way back up: needs CAP_SETPCAP, so before the ids change."""
    sys_.prctl(sys_.PR_CAP_AMBIENT, sys_.PR_CAP_AMBIENT_CLEAR_ALL)
    sys_.drop_bounding_set()
    sys_.prctl(sys_.PR_SET_SECUREBITS, sys_.SECUREBITS_LOCKED)


def _unprivileged_ids(_: Materials) -> None:
    """The tenant's id: needs CAP_SETUID, so before the sets are emptied."""
    os.setresgid(INNER_GID, INNER_GID, INNER_GID)
    os.setresuid(INNER_UID, INNER_UID, INNER_UID)


def _no_capabilities(_: Materials) -> None:
    """Ids do not clear capabilities when securebits are locked: empty the sets and read them back."""
    sys_.drop_capability_sets()
    held = {name: bits for name, bits in sys_.capability_sets().items() if bits}
    if held:
        raise PermissionError("capabilities are left: %s" % held)
    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)


def _bound_to_parent(_: Materials) -> None:
    """Not dumpable, and dead when pid 1 dies.

    After the last id change, which clears both (a death signal set earlier is silently lost).
    """
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    sys_.prctl(sys_.PR_SET_PDEATHSIG, 9)
    if os.getppid() != 1:
        raise ProcessLookupError("pid 1 of the cell is gone")


def _descriptors(materials: Materials) -> None:
    """0 /dev/null, 1 and 2 the log pipes, 3 and 4 the channel, nothing else (CVE-2024-21626).

    The set-up socket goes too: over a pipe a tenant cannot pass descriptors at us.
    """
    null = os.open("/dev/null", os.O_RDONLY)
    wanted = (null, materials.stdout_fd, materials.stderr_fd, materials.request_fd, materials.reply_fd)
    # Out of the way first: a wanted descriptor may stand where another has to go.
    high = [os.dup2(source, 64 + index, inheritable=False) for index, source in enumerate(wanted)]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target <= 2)
    materials.setup.detach()
    sys_.close_range(FIRST_FOREIGN_FD)
    left = sys_.open_descriptors()
    if left != [0, 1, 2, REQUEST_FD, REPLY_FD]:
        raise PermissionError("descriptors are left: %s" % left)
    # Not among the rlimits: under a small limit there would be no number to go out of the way to.
    most = materials.tie.open_files
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.chdir(FUNCTION_DIR)


def _fresh_randomness(_: Materials) -> None:
    """Siblings of one zygote share its generators' state; the operating system's needs nothing."""
    import sys

    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


TIE: List[Tuple[str, Step]] = [
    ("code", _code),
    ("tmp-size", _tmp_size),
    ("rlimits", _rlimits),
    ("capability-bounds", _capability_bounds),
    ("unprivileged-ids", _unprivileged_ids),
    ("no-capabilities", _no_capabilities),
    ("bound-to-parent", _bound_to_parent),
    ("fresh-randomness", _fresh_randomness),
    ("descriptors", _descriptors),
]

# Layers still to come, and the step that each will follow.
PLACES_LEFT: Dict[str, str] = {
    "cgroup": "before ids: limits first, then join",
    "keyring": "bound-to-parent",
    "landlock": "descriptors",
    "seccomp": "landlock",
    "self-test": "seccomp",
}


def run(steps: List[Tuple[str, Step]], materials: Materials) -> None:
    """Run the steps in order; LockdownError names the one that failed."""
    for name, step in steps:
        try:
            step(materials)
        except Exception as error:  # whatever it was, this cell may not live
            raise LockdownError(name, error) from error


def _tmpfs(size_bytes: int) -> str:
    return "size=%d,nr_inodes=%d,mode=1777" % (size_bytes, max(64, size_bytes // BYTES_PER_INODE))


def tie_from(message: Dict[str, Any]) -> Tie:
    """The warden's words as a Tie; it is trusted, so a missing one is our bug and a KeyError."""
    return Tie(message["has_code"], message["tmp_bytes"], message["open_files"], message["processes"])
