"""The lock-down of a cell, in one place: BUILD makes the sandbox, TIE closes it for one function.

Tenant code is hostile; after TIE nothing that it does may reach another tenant or the host.
``landlock``, ``host_files`` and ``selftest`` are large steps; this file has the order of all.

Actors.  *pid 1* is made by the zygote with all its namespaces at once; the warden gives it id maps and
a cgroup leaf, then it runs BUILD and forks the *worker*.  The worker runs PREPARE, which gives away every
right there is, and waits, blank.  When the warden ties the cell to a function, pid 1 puts in place what
needs rights (PLACE), and the worker runs TIE.  When TIE has ended the tenant's code may be imported.

Steps that do not depend on the function run ahead: a caller waits for PLACE and TIE only.

Rule 1: every step raises when it fails, and a cell whose step raised never serves.
Rule 2: an order is a list; each step says why it stands where it stands.
Rule 3: nothing here is read from the tenant.
Rule 4: a layer that the host cannot give is published as absent, with the reason; never left out unsaid.

Tiers.  "A": the server is root, each cell has two outer ids.  "A-user": an ordinary user with user
namespaces; all cells share the server's one id.  ``bare_lockdown`` has cells without namespaces.
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
    """A step failed; ``step`` is its name, ``is_breach`` says that a call succeeded which had to fail."""

    def __init__(self, step: str, cause: BaseException) -> None:
        super().__init__("%s: %s" % (step, cause))
        self.step = step
        self.is_breach = isinstance(cause, selftest.Breach)


Step = Callable[[Materials], None]


# ---- BUILD: pid 1, inner root, tenant-neutral ------------------------------------------------


def _own_maps(materials: Materials) -> None:
    """A-user only: write the id maps here, for the kernel lets only this process map the server's one id.

    A process can write its own files in /proc only while it is dumpable.
    """
    if materials.has_own_ids:
        return
    uid, gid = materials.outer_ids
    sys_.prctl(sys_.PR_SET_DUMPABLE, 1)
    # setgroups first: a cell that can drop a group gets round a file mode that denies the group something.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", "%d %d 1" % (INNER_UID, uid)),
        ("gid_map", "%d %d 1" % (INNER_GID, gid)),
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)


def _no_executable_memory_files(materials: Materials) -> None:
    """Have memfd_create make files that cannot be executed; else they would get round noexec mounts.

    Before the ids: the knob asks for the host's root, which this process still is unless the server is an
    ordinary user's.  The knob belongs to this pid namespace, never to the host.
    """
    if os.getpid() == 1 and materials.has_memfd_knob:
        with open(MEMFD_KNOB, "w") as file:
            file.write("2")


def _ids(materials: Materials) -> None:
    """Become inner root, whose outer id is this cell's alone; until now the outer id is the host's root."""
    if materials.has_own_ids:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def _cgroup_namespace(_: Materials) -> None:
    """After the cell has joined its leaf, which becomes the root of all cgroups that it sees."""
    sys_.unshare(sys_.CLONE_NEWCGROUP)


def _no_nested_namespaces(_: Materials) -> None:
    """No namespaces inside the cell: each opens much of the kernel to attack.  Needs the full /proc."""
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
        with open("/proc/sys/user/max_%s_namespaces" % kind, "w") as knob:
            knob.write("0")


def _session(_: Materials) -> None:
    """Begin a session of its own, so that there is no terminal to inject into (CVE-2017-5226)."""
    os.setsid()
    sys_.sethostname("cell")


def _mounts(materials: Materials) -> None:
    """Private /dev, /tmp and /dev/shm; a /proc of this pid namespace that shows processes only."""
    safe = sys_.MS_NOSUID | sys_.MS_NODEV
    if materials.has_own_devices:  # all cells could lock the host's nodes
        sys_.move_mount(materials.devices_fd, "/dev")
        os.close(materials.devices_fd)
    sys_.mount("tmpfs", "/tmp", "tmpfs", safe, _tmpfs(BLANK_TMP_BYTES))
    sys_.mount("tmpfs", "/dev/shm", "tmpfs", safe | sys_.MS_NOEXEC, _tmpfs(SHM_BYTES))
    # subset=pid leaves out /proc/sys, where access depends on user ids and not on capabilities.
    sys_.mount("proc", "/proc", "proc", safe | sys_.MS_NOEXEC, "subset=pid,hidepid=invisible")


def _loopback(materials: Materials) -> None:
    """Set ``lo`` up in a network of the cell's own: many libraries talk to themselves over it."""
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
    """Attach the detached mount of the bundle at /function; needs CAP_SYS_ADMIN of the cell."""
    if materials.tie.has_code:
        sys_.move_mount(materials.code_fd, places.function_dir)
        os.close(materials.code_fd)


def _tmp_size(materials: Materials) -> None:
    """Give /tmp this function's size; the remount needs CAP_SYS_ADMIN too."""
    flags = sys_.MS_REMOUNT | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("tmpfs", "/tmp", "tmpfs", flags, _tmpfs(materials.tie.tmp_bytes))


CAP_KILL = 1 << 5
# The capabilities that pid 1 may use; no cell needs those above (CAP_BPF, CAP_PERFMON and such).
LOW_CAPABILITIES = 0xFFFFFFFF


def _only_signals(_: Materials) -> None:
    """Leave pid 1 the right to signal another user id, and no other, before there is tenant code."""
    sys_.drop_capability_sets(keep=CAP_KILL)


PLACE: List[Tuple[str, Step]] = [
    ("code", _code),
    ("tmp-size", _tmp_size),
    ("names", host_files.put),
    ("only-signals", _only_signals),
]


def rehearse_place(materials: Materials) -> None:
    """Run PLACE without effect in a blank cell: /tmp gets the size that it has, nothing is attached."""
    _tmp_size(materials)
    with contextlib.suppress(OSError):  # EBADF
        sys_.move_mount(-1, places.function_dir)
    sys_.drop_capability_sets(keep=LOW_CAPABILITIES)


# ---- PREPARE and TIE: the worker, before and after it belongs to a function -------------------


def _rlimits(materials: Materials) -> None:
    rlimits.set_data_limit(materials)
    rlimits.lower(*rlimits.of(materials))


def _capability_bounds(_: Materials) -> None:
    """Let no capability come back; needs CAP_SETPCAP, so before the ids change."""
    sys_.prctl(sys_.PR_CAP_AMBIENT, sys_.PR_CAP_AMBIENT_CLEAR_ALL)
    sys_.drop_bounding_set()
    sys_.prctl(sys_.PR_SET_SECUREBITS, sys_.SECUREBITS_LOCKED)


def _unprivileged_ids(materials: Materials) -> None:
    """Become the tenant's user; needs CAP_SETUID, so before the sets are emptied."""
    if materials.has_own_ids:
        os.setresgid(INNER_GID, INNER_GID, INNER_GID)
        os.setresuid(INNER_UID, INNER_UID, INNER_UID)


def _no_capabilities(_: Materials) -> None:
    """Empty the capability sets: with locked securebits a change of ids does not.  Read them back."""
    sys_.drop_capability_sets()
    held = sys_.held_capabilities()
    if held:
        raise PermissionError("capabilities are left: %s" % held)
    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)


def _bound_to_parent(materials: Materials) -> None:
    """Be not dumpable, and die with pid 1.

    After the last change of ids, which resets both without a word.
    """
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
    sys_.prctl(sys_.PR_SET_PDEATHSIG, 9)
    if os.getppid() != materials.parent_pid:
        raise ProcessLookupError("pid 1 of the cell is gone")


def _keyring(_: Materials) -> None:
    """Join a keyring of its own, for keyrings are in no namespace; before the filter, which forbids it."""
    try:
        sys_.join_new_keyring()
    except OSError as error:
        if error.errno != errno.ENOSYS:  # ENOSYS: the kernel has no keyrings
            raise


# The side channels that prctl(2) has a control for, and its number.
SPECULATION_CONTROLS = (("store-bypass", 0), ("indirect-branch", 1))


def _speculation(materials: Materials) -> None:
    """Switch speculation off for good where the processor offers that; its absence stops no server."""
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
    """0 is empty input, 1 and 2 the log pipes, 3 and 4 the channel; no others (CVE-2024-21626).

    The set-up socket and the pipes to pid 1 stay open for the steps that are left.  ``_seal`` closes them,
    but for two if the worker forks a process for each call.
    """
    wanted = (
        *materials.shared_fds, materials.setup.detach(),
        materials.said_fd, materials.leave_fd, materials.tie_fd, materials.sealed_fd,
    )  # fmt: skip
    # First to high numbers: a wanted descriptor may have the number that another one has to get.
    high = [os.dup2(source, 64 + index, inheritable=False) for index, source in enumerate(wanted)]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target <= 2)
    materials.setup = socket.socket(fileno=SETUP_FD)
    materials.tie_fd, materials.sealed_fd = TIE_FD, SEALED_FD
    sys_.close_range(UNUSED_FD)
    _only(list(range(UNUSED_FD)))


def _open_files(materials: Materials) -> None:  # after the descriptors have their numbers
    rlimits.lower(rlimits.open_files(materials))


def _function_dir(_: Materials) -> None:
    """Make relative paths of the author's code begin at the bundle."""
    os.chdir(places.function_dir)


def _only(expected: List[int]) -> None:
    left = sys_.open_descriptors()
    if left != expected:
        raise PermissionError("descriptors %s are open, not %s" % (left, expected))


def _fresh_randomness(_: Materials) -> None:
    fresh_randomness()


def fresh_randomness() -> None:
    """Seed the random generators, whose state all cells of a zygote share; os.urandom needs nothing.

    A module that is imported later seeds itself.  In a forked call these may be the author's modules.
    """
    for name, known_by in (("random", "Random"), ("numpy.random", "RandomState")):
        for generators in (namesakes.hidden.get(name), sys.modules.get(name)):
            if hasattr(generators, known_by):
                generators.seed()


def _landlock(materials: Materials) -> None:
    """While there is one thread, as each has its own rules; after ``descriptors``, for it opens folders."""
    version = landlock.abi()
    if version < landlock.LEAST_ABI:
        return  # the proof says so
    policy = landlock.Policy(
        ("/",), ("/tmp",), ("/dev/shm",), ("/dev",), has_network=materials.network != "none"
    )
    landlock.restrict(policy, version)


def _layers_hold(materials: Materials) -> None:
    """Calls that must fail, before the filter: it would answer instead of the layers below it."""
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
    """The last layer: no later step may need a call that it refuses."""
    sys_.install_filter(materials.surroundings.filter)


def _filter_holds(materials: Materials) -> None:
    """Calls that must fail, with an answer that only the filter gives."""
    materials.proof += selftest.after_the_filter(materials.network)


def _limits_hold(materials: Materials) -> None:
    """Calls that must fail because of the function's limits; no layer above answers for these."""
    limits = (*rlimits.of(materials), rlimits.open_files(materials))
    materials.proof += selftest.of_the_function(limits, materials.tie.tmp_bytes)


def _report(materials: Materials) -> None:
    """The proof goes to the warden while this process still speaks for us."""
    tell(materials.setup, Tied([ProvenLayer(*line) for line in materials.proof]))


def _seal(materials: Materials) -> None:
    """Close the set-up socket and everything else but pipes, over which nobody can pass descriptors."""
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
        except Exception as error:  # whatever it was, this cell may not serve
            raise LockdownError(name, error) from error


def _tmpfs(size_bytes: int) -> str:
    return "size=%d,nr_inodes=%d,mode=1777" % (size_bytes, max(64, size_bytes // BYTES_PER_INODE))
