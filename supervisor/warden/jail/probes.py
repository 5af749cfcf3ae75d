"""Finds out what this host allows by trying it in throw-away child processes.

Kernel versions are not read: a container, a security module or a sysctl may refuse what the kernel can do.
Each probe runs in a child of its own and undoes nothing, because the child ends with it.  A probe writes
nothing outside the child's own namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from supervisor import signals
from supervisor.errors import ConfigurationError
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import id_maps, private_root

# A probe is a few system calls; on a loaded machine a namespace takes some milliseconds.
PROBE_SECONDS = 10.0
EVIDENCE_MAX_BYTES = 500
ALL_MAX_BYTES = 1 << 16

ALL_NAMESPACES = (
    sys_.CLONE_NEWUSER | sys_.CLONE_NEWNS | sys_.CLONE_NEWPID | sys_.CLONE_NEWNET | sys_.CLONE_NEWIPC
    | sys_.CLONE_NEWUTS | sys_.CLONE_NEWCGROUP
)  # fmt: skip
SECCOMP_ANSWERS = {"kill": 0x80000000, "errno": 0x00050000, "log": 0x7FFC0000}
# Any ids that are not ours will do; the fronts never get these.
FOREIGN_ID = 1_899_999_999


class Finding(NamedTuple):
    """Whether the host allows one thing; ``evidence`` is what the probe saw: a value or an errno."""

    name: str
    works: bool
    evidence: str


def _user_namespace() -> str:
    sys_.unshare(sys_.CLONE_NEWUSER)
    return "made"


def _namespaces() -> str:
    sys_.unshare(ALL_NAMESPACES)
    return "user, mnt, pid, net, ipc, uts and cgroup made at once"


def _mounts() -> str:
    # To make the namespace is not enough: a security module may strip its capabilities.
    sys_.enter_user_namespace(sys_.CLONE_NEWNS)
    return _mount_and_attach()


def _mounts_as_root() -> str:
    sys_.unshare(sys_.CLONE_NEWNS)
    return _mount_and_attach()


def _mount_and_attach() -> str:
    sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
    tree = sys_.clone_tree("/usr")
    sys_.set_attributes(tree, sys_.MOUNT_ATTR_RDONLY | sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NODEV)
    sys_.mount("tmpfs", "/tmp", "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "size=65536")  # noqa: S108
    os.mkdir("/tmp/tree")  # noqa: S108 - in the tmpfs of a namespace of our own
    sys_.attach(tree, "/tmp/tree")  # noqa: S108
    return "a tmpfs mounted, a detached tree attached read-only"


def _proc() -> str:
    # The kernel refuses this where a part of /proc is covered, as container engines do.  Root's zygotes have
    # a /proc of their own, which is not, or uncover it (``private_root``).
    with contextlib.suppress(OSError):
        sys_.unshare(sys_.CLONE_NEWNS)
        sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
        try:
            sys_.mount("proc", "/proc", "proc", sys_.MS_NOSUID)
        except OSError:
            private_root.uncover_proc()
    sys_.unshare(sys_.CLONE_NEWUSER | sys_.CLONE_NEWNS | sys_.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
            sys_.mount("proc", "/proc", "proc", sys_.MS_NOSUID, "subset=pid,hidepid=invisible")
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
    number, code = signals.how_ended(os.waitpid(pid, 0)[1]) or (0, 0)
    if number or code:
        raise OSError(code or errno.EINTR, signals.name_of(number) if number else os.strerror(code))
    return "mounted with subset=pid in a new pid namespace"


def _some_foreign_id() -> int:
    """An id that is mapped here, and so is the next; OSError where too few are mapped for a server."""
    ids = id_maps.read()
    if id_maps.has(ids, FOREIGN_ID, FOREIGN_ID + 1):
        return FOREIGN_ID
    if id_maps.count(ids) < id_maps.LEAST_IDS:
        raise PermissionError(
            errno.EPERM,
            f"the user namespace has the ids {id_maps.shown(ids)}; {id_maps.LEAST_IDS} are needed",
        )
    return max(ids, key=len)[-2]


def _foreign_ids() -> str:
    """The right to map foreign ids, which tier A needs to give each cell two ids of its own."""
    foreign = _some_foreign_id()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sys_.unshare(sys_.CLONE_NEWUSER)
            os.write(write, b"1")
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(write)
        if not os.read(read, 1):
            raise PermissionError(errno.EPERM, "no user namespace")
        # This writes to the child's own namespace, which ends with it.
        with open(f"/proc/{pid}/uid_map", "w") as file:
            file.write(f"0 {foreign} 1\n1000 {foreign + 1} 1\n")
        return "two foreign ids mapped"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _foreign_processes() -> str:
    """The right to change to a foreign user id, which tier B needs for its workers."""
    foreign = _some_foreign_id()
    os.setgroups([])
    os.setresgid(foreign, foreign, foreign)
    os.setresuid(foreign, foreign, foreign)
    return "changed to a foreign id"


def _landlock() -> str:
    return f"ABI {sys_.landlock_abi()}"


def _seccomp() -> str:
    for action in SECCOMP_ANSWERS.values():
        sys_.seccomp_has(action)
    return "answers " + ", ".join(SECCOMP_ANSWERS)


def _pidfd() -> str:
    os.close(os.pidfd_open(os.getpid()))
    return "opened"


PROBES: dict[str, Callable[[], str]] = {
    "user-namespace": _user_namespace,
    "namespaces": _namespaces,
    "mounts": _mounts,
    "mounts-as-root": _mounts_as_root,
    "proc": _proc,
    "foreign-ids": _foreign_ids,
    "foreign-processes": _foreign_processes,
    "landlock": _landlock,
    "seccomp": _seccomp,
    "pidfd": _pidfd,
}


def probe(name: str, attempt: Callable[[], str]) -> Finding:
    """Run one probe in a child.  A child that hangs or dies makes a negative finding."""
    child = _child(lambda: _text_of(attempt))
    text, status = _heard(child, PROBE_SECONDS, EVIDENCE_MAX_BYTES)
    if not text:
        # A filter such as a unit's SystemCallFilter= answers with SIGSYS; SIGKILL is ours, at the deadline.
        by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGKILL
        died = "died or did not end" if by == signal.SIGKILL else f"died of {signals.name_of(by)}"
        return Finding(name, False, f"the probe {died}")
    return Finding(name, text[:1] == b"+", text[1:].decode(errors="replace"))


class _Child(NamedTuple):
    pid: int
    read: int


def _child(work: Callable[[], bytes]) -> _Child:
    """Fork a child that writes the result of ``work`` to a pipe, and ends."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, work())
        finally:
            os._exit(0)
    os.close(write)
    return _Child(pid, read)


def _heard(child: _Child, seconds: float, most: int) -> tuple[bytes, int]:
    """What the child wrote within this time, empty if it died or hung; its status.  Kills and reaps it."""
    deadline = time.monotonic() + seconds
    text = b""
    os.set_blocking(child.read, False)
    poll = _readable(child.read)
    while poll(max(0.0, deadline - time.monotonic())):
        data = os.read(child.read, most)
        if not data:
            break
        text += data
    os.close(child.read)
    try:
        os.kill(child.pid, signal.SIGKILL)
    except PermissionError:  # it became another user, and root without this right is an odd container's
        raise ConfigurationError(
            "cannot try this host: no right to end a process of another user; give the server CAP_KILL"
        ) from None
    _, status = os.waitpid(child.pid, 0)
    return text, status


def _readable(descriptor: int) -> Callable[[float], bool]:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda seconds: bool(poll.poll(seconds * 1000))


def _text_of(attempt: Callable[[], str]) -> bytes:
    """The result of an attempt: + and what was seen, or - and the reason."""
    try:
        text = "+" + attempt()
    except OSError as error:
        number = errno.errorcode.get(error.errno or 0, str(error.errno))
        text = f"-{number}: {error.strerror or error}"
    except BaseException as error:  # a probe that raises anything has failed
        text = f"-{error!r}"
    return text.encode()[:EVIDENCE_MAX_BYTES]


def _all() -> list[Finding]:
    return [probe(name, attempt) for name, attempt in PROBES.items()]


_begun: list[_Child] = []


def begin() -> None:
    """Start all probes in one child, early, while this process is small and has one thread."""
    with contextlib.suppress(OSError):  # then ``probe_host`` runs them
        _begun.append(_child(lambda: json.dumps([finding._asdict() for finding in _all()]).encode()))


def probe_host() -> dict[str, Finding]:
    """Every finding by name: from the child that ``begin`` started, or from new ones, which takes 30 ms."""
    text = _heard(_begun.pop(), PROBE_SECONDS * len(PROBES), ALL_MAX_BYTES)[0] if _begun else b""
    findings = [Finding(**each) for each in json.loads(text)] if text else _all()
    found = {finding.name: finding for finding in findings}
    for abi in (3, 6):
        enough = found["landlock"].works and int(found["landlock"].evidence.split()[-1]) >= abi
        found[f"landlock-{abi}"] = Finding(f"landlock-{abi}", enough, found["landlock"].evidence)
    found["root"] = Finding("root", os.geteuid() == 0, f"user id {os.geteuid()}")
    return found
