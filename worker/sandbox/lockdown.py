"""The lock-down of a cell, in one place: BUILD makes the sandbox, TIE closes it for one function.

Rank 1 goal: tenant code is hostile; after TIE nothing it does reaches another tenant or the host.
``landlock``, ``host_files`` and ``selftest`` are steps of their own size; this file has the order.

Actors.  *pid 1* is made by the zygote with all its namespaces at once; the warden gives it id maps and
a cgroup leaf, then it runs BUILD and forks the *worker*.  The worker runs PREPARE, which gives away every
right there is, and waits, blank.  When the warden ties the cell to a function, pid 1 puts in place what
needs rights (PLACE), and the worker runs TIE.  When TIE has ended the tenant's code may be imported.

Whatever does not depend on the function is done ahead: a caller waits for PLACE and TIE.

Rule 1: every step raises when it fails, and a cell whose step raised never serves.
Rule 2: an order is a list; each step says why it stands where it stands.
Rule 3: nothing here is read from the tenant.
Rule 4: a layer that the host cannot give is published as absent, with the reason; never left out unsaid.

Tiers.  "A": the server is root, each cell has two outer ids.  "A-user": an ordinary user with user
namespaces; all cells share the server's one id.  Cells without namespaces are in ``bare``.
"""

import contextlib
import errno
import os
import socket
import sys
from typing import Callable, List, Tuple

from .. import _syscalls as sys_
from ..imports import namesakes
from ..setup_messages import ProvenLayer, Tied
from ..setup_socket import tell
from . import host_files, landlock, places, rlimits, selftest
from .lockdown_state import (
    BLANK_TMP_BYTES,
    BYTES_PER_INODE,
    INNER_GID,
    INNER_UID,
    MEMFD_KNOB,
    SEALED_FD,
    SETUP_FD,
    SHM_BYTES,
    TIE_FD,
    UNUSED_FD,
    Materials,
)


class LockdownError(Exception):
    """A step failed; ``step`` names it, ``is_breach`` says that a call succeeded which must not."""

    def __init__(self, step: str, cause: BaseException) -> None:
        super().__init__("%s: %s" % (step, cause))
        self.step = step
        self.is_breach = isinstance(cause, selftest.Breach)


Step = Callable[[Materials], None]


# ---- BUILD: pid 1, inner root, tenant-neutral ------------------------------------------------


def _own_maps(materials: Materials) -> None:
    """A-user only: the kernel lets nobody but this process map the server's one id into it.

    The warden is two user namespaces away, and its own files in /proc are ours only while dumpable.
    """
    if materials.has_own_ids:
        return
    uid, gid = materials.outer_ids
    sys_.prctl(sys_.PR_SET_DUMPABLE, 1)
    # Denied first, or a group could be dropped that a file's mode denies something to.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", "%d %d 1" % (INNER_UID, uid)),
        ("gid_map", "%d %d 1" % (INNER_GID, gid)),
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)


def _no_executable_memory_files(materials: Materials) -> None:
    """memfd_create makes files that cannot be executed: else noexec mounts are got round.

    While the kernel still takes us for the host's root, which the knob asks for: so before the ids, and
    not for an ordinary user.  It is the pid namespace's own; never that of the host.
    """
    if os.getpid() == 1 and materials.has_memfd_knob:
        with open(MEMFD_KNOB, "w") as file:
            file.write("2")


def _ids(materials: Materials) -> None:
    """Become inner 0, whose outer id is this cell's alone: until now the outer id is the host's root."""
    if materials.has_own_ids:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def _cgroup_namespace(_: Materials) -> None:
    """After the leaf was joined: what is above the leaf of that moment can no longer be seen."""
    sys_.unshare(sys_.CLONE_NEWCGROUP)


def _no_nested_namespaces(_: Materials) -> None:
    """No namespaces inside the cell: each is a large kernel surface.  Needs the full /proc."""
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
        with open("/proc/sys/user/max_%s_namespaces" % kind, "w") as knob:
            knob.write("0")


def _session(_: Materials) -> None:
    """A session of its own: no terminal to inject into (CVE-2017-5226)."""
    os.setsid()
    sys_.sethostname("cell")


def _mounts(materials: Materials) -> None:
    """Private /dev, /tmp and /dev/shm; a /proc of this pid namespace that shows processes only."""
    safe = sys_.MS_NOSUID | sys_.MS_NODEV
    if materials.has_own_devices:  # a lock is its inode's, and the host's is everybody's
        sys_.move_mount(materials.devices_fd, "/dev")
        os.close(materials.devices_fd)
    sys_.mount("tmpfs", "/tmp", "tmpfs", safe, _tmpfs(BLANK_TMP_BYTES))
    sys_.mount("tmpfs", "/dev/shm", "tmpfs", safe | sys_.MS_NOEXEC, _tmpfs(SHM_BYTES))
    # subset=pid leaves out /proc/sys, whose files obey user ids rather than capabilities.
    sys_.mount("proc", "/proc", "proc", safe | sys_.MS_NOEXEC, "subset=pid,hidepid=invisible")


def _loopback(materials: Materials) -> None:
    """``lo`` up where the network is the cell's own: many libraries talk to themselves over it."""
    if materials.network == "none":
        sys_.loopback_up()


BUILD: List[Tuple[str, Step]] = [
    ("own-maps", _own_maps),
    ("memfd-noexec", _no_executable_memory_files),
    ("ids", _ids),
    ("cgroup-namespace", _cgroup_namespace),  # before the next, which would refuse it
    ("no-nested-namespaces", _no_nested_namespaces),  # before mounts: they hide /proc/sys
    ("session", _session),
    ("mounts", _mounts),
    ("loopback", _loopback),
]


# ---- PLACE: pid 1, inner root, once the cell belongs to a function ----------------------------


def _code(materials: Materials) -> None:
    """The bundle at /function, by a detached mount: needs CAP_SYS_ADMIN of the cell."""
    if materials.tie.has_code:
        sys_.move_mount(materials.code_fd, places.function_dir)
        os.close(materials.code_fd)


def _tmp_size(materials: Materials) -> None:
    """/tmp at this function's size: a remount needs it too."""
    flags = sys_.MS_REMOUNT | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("tmpfs", "/tmp", "tmpfs", flags, _tmpfs(materials.tie.tmp_bytes))


CAP_KILL = 1 << 5
# All that pid 1 may still use: those above say what nobody in a cell does (CAP_BPF, CAP_PERFMON and such).
LOW_CAPABILITIES = 0xFFFFFFFF


def _only_signals(_: Materials) -> None:
    """What is left for pid 1 is to wait, and to signal another user id: before there is tenant code."""
    sys_.drop_capability_sets(keep=CAP_KILL)


PLACE: List[Tuple[str, Step]] = [
    ("code", _code),
    ("tmp-size", _tmp_size),
    ("names", host_files.put),
    ("only-signals", _only_signals),
]


def rehearse_place(materials: Materials) -> None:
    """PLACE to no effect, while the cell is nobody's: /tmp gets the size that it has, nothing is attached."""
    _tmp_size(materials)
    with contextlib.suppress(OSError):  # EBADF
        sys_.move_mount(-1, places.function_dir)
    sys_.drop_capability_sets(keep=LOW_CAPABILITIES)


# ---- PREPARE and TIE: the worker, before and after it belongs to a function -------------------


def _rlimits(materials: Materials) -> None:  # what its zygote shares is no part of a function's memory
    materials.data_bytes = rlimits.private_bytes() + rlimits.reserved_bytes(materials.tie.memory_bytes)
    rlimits.lower(*rlimits.of(materials))


def _capability_bounds(_: Materials) -> None:
    """No way back up: needs CAP_SETPCAP, so before the ids change."""
    sys_.prctl(sys_.PR_CAP_AMBIENT, sys_.PR_CAP_AMBIENT_CLEAR_ALL)
    sys_.drop_bounding_set()
    sys_.prctl(sys_.PR_SET_SECUREBITS, sys_.SECUREBITS_LOCKED)


def _unprivileged_ids(materials: Materials) -> None:
    """The tenant's id: needs CAP_SETUID, so before the sets are emptied."""
    if materials.has_own_ids:
        os.setresgid(INNER_GID, INNER_GID, INNER_GID)
        os.setresuid(INNER_UID, INNER_UID, INNER_UID)


def _no_capabilities(_: Materials) -> None:
    """Ids do not clear capabilities when securebits are locked: empty the sets and read them back."""
    sys_.drop_capability_sets()
    held = {name: bits for name, bits in sys_.capability_sets().items() if bits}
    if held:
        raise PermissionError("capabilities are left: %s" % held)
    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)


def _bound_to_parent(materials: Materials) -> None:
    """Not dumpable, and dead when pid 1 dies.

    After the last id change, which clears both (a death signal set earlier is silently lost).
    """
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    sys_.prctl(sys_.PR_SET_PDEATHSIG, 9)
    if os.getppid() != materials.parent_pid:
        raise ProcessLookupError("pid 1 of the cell is gone")


def _keyring(_: Materials) -> None:
    """A session keyring of its own: keyrings are in no namespace.  A call that the filter forbids."""
    try:
        sys_.join_new_keyring()
    except OSError as error:
        if error.errno != errno.ENOSYS:  # a kernel without keyrings has none to share
            raise


# Which side channel each control is about, by its number in prctl(2).
SPECULATION_CONTROLS = (("store-bypass", 0), ("indirect-branch", 1))


def _speculation(materials: Materials) -> None:
    """Speculation off for good where the processor's control is offered; the one step that may be absent."""
    done, missing = [], []
    for name, number in SPECULATION_CONTROLS:
        try:
            sys_.prctl(sys_.PR_SET_SPECULATION_CTRL, number, sys_.PR_SPEC_FORCE_DISABLE)
            done.append(name)
        except OSError as error:
            missing.append("%s: %s" % (name, errno.errorcode.get(error.errno or 0, str(error.errno))))
    status = "enforced" if not missing else "degraded" if done else "absent"
    materials.proof.append(("speculation", status, ", ".join([*done, *missing])))


def _descriptors(materials: Materials) -> None:
    """0 nothing to read, 1 and 2 the log pipes, 3 and 4 the channel, nothing else (CVE-2024-21626).

    And the set-up socket and the pipes between worker and pid 1 for the steps that are left; the last one
    closes them, but for two where the worker forks a process for each call.
    """
    wanted = (
        *materials.shared_fds, materials.setup.detach(),
        materials.said_fd, materials.leave_fd, materials.tie_fd, materials.sealed_fd,
    )  # fmt: skip
    # Out of the way first: a wanted descriptor may stand where another has to go.
    high = [os.dup2(source, 64 + index, inheritable=False) for index, source in enumerate(wanted)]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target <= 2)
    materials.setup = socket.socket(fileno=SETUP_FD)
    materials.tie_fd, materials.sealed_fd = TIE_FD, SEALED_FD
    sys_.close_range(UNUSED_FD)
    _only(list(range(UNUSED_FD)))


def _open_files(materials: Materials) -> None:  # after the descriptors have found their places
    rlimits.lower(rlimits.open_files(materials))


def _function_dir(_: Materials) -> None:
    """Relative paths of the author's are those of the bundle."""
    os.chdir(places.function_dir)


def _only(expected: List[int]) -> None:
    left = sys_.open_descriptors()
    if left != expected:
        raise PermissionError("descriptors %s are open, not %s" % (left, expected))


def _fresh_randomness(_: Materials) -> None:
    fresh_randomness()


def fresh_randomness() -> None:
    """Siblings of one zygote share its generators' state; the operating system's needs nothing.

    What is imported later seeds itself.  Where calls are forked, these may be modules of the author's.
    """
    for name, known_by in (("random", "Random"), ("numpy.random", "RandomState")):
        for generators in (namesakes.hidden.get(name), sys.modules.get(name)):
            if hasattr(generators, known_by):
                generators.seed()


def _landlock(materials: Materials) -> None:
    """Per thread, so while there is one; after the descriptors, whose folders it opens itself."""
    version = landlock.abi()
    if version < landlock.LEAST_ABI:
        return  # the proof says so
    policy = landlock.Policy(
        ("/",), ("/tmp",), ("/dev/shm",), ("/dev",), has_network=materials.network != "none"
    )
    landlock.restrict(policy, version)


def _layers_hold(materials: Materials) -> None:
    """Must-fail calls, before the filter: it would answer for the layers below it."""
    expected = selftest.Expected(
        network=materials.network,
        ids=(INNER_UID, INNER_GID),
        outsider=materials.surroundings.outsider,
        namespaces=materials.surroundings.namespaces,
        keyring=materials.surroundings.keyring,
        devices=materials.surroundings.devices,
        guards_metadata=materials.surroundings.guards_metadata,
        has_landlock=landlock.abi() >= landlock.LEAST_ABI,
        has_memfd_knob=materials.has_memfd_knob,
    )
    materials.proof += selftest.before_the_filter(expected)


def _seccomp(materials: Materials) -> None:
    """Last of the layers: no later step may need a call that it refuses."""
    sys_.install_filter(materials.surroundings.filter)


def _filter_holds(materials: Materials) -> None:
    """Must-fail calls whose answer can only come from the filter."""
    materials.proof += selftest.after_the_filter(materials.network)


def _limits_hold(materials: Materials) -> None:
    """Must-fail calls about what came with the function; no layer above answers for these."""
    limits = (*rlimits.of(materials), rlimits.open_files(materials))
    materials.proof += selftest.of_the_function(limits, materials.tie.tmp_bytes)


def _report(materials: Materials) -> None:
    """The proof goes to the warden while this process still speaks for us."""
    tell(materials.setup, Tied([ProvenLayer(*line) for line in materials.proof]))


def _seal(materials: Materials) -> None:
    """The set-up socket goes, and whatever else there may be: over a pipe nobody can pass descriptors."""
    os.close(materials.setup.detach())
    sys_.close_range(materials.first_foreign_fd)
    _only([fd for fd in range(materials.first_foreign_fd) if fd != SETUP_FD])


PREPARE: List[Tuple[str, Step]] = [
    ("capability-bounds", _capability_bounds),
    ("unprivileged-ids", _unprivileged_ids),
    ("no-capabilities", _no_capabilities),
    ("bound-to-parent", _bound_to_parent),
    ("keyring", _keyring),
    ("speculation", _speculation),
    ("fresh-randomness", _fresh_randomness),
    ("descriptors", _descriptors),
    ("landlock", _landlock),
    ("layers-hold", _layers_hold),
    ("seccomp", _seccomp),
    ("filter-holds", _filter_holds),
]

TIE: List[Tuple[str, Step]] = [
    ("rlimits", _rlimits),
    ("open-files", _open_files),
    ("function-dir", _function_dir),
    ("limits-hold", _limits_hold),
    ("report", _report),
    ("seal", _seal),
]


def run(steps: List[Tuple[str, Step]], materials: Materials) -> None:
    """Run the steps in order; LockdownError names the one that failed."""
    for name, step in steps:
        try:
            step(materials)
        except Exception as error:  # whatever it was, this cell may not live
            raise LockdownError(name, error) from error


def _tmpfs(size_bytes: int) -> str:
    return "size=%d,nr_inodes=%d,mode=1777" % (size_bytes, max(64, size_bytes // BYTES_PER_INODE))
