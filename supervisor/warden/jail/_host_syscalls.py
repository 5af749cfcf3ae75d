"""The system calls that Python 3.11 does not offer: the only module of the trusted side that uses ctypes.

Each function raises OSError with the call's name.  Call numbers above 424 are the same on every architecture.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Collection, Mapping

_libc = ctypes.CDLL(None, use_errno=True)

_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_FSOPEN, _NR_FSCONFIG, _NR_FSMOUNT = 430, 431, 432
_NR_OPENAT2 = 437
_NR_MOUNT_SETATTR = 442
_NR_LANDLOCK_CREATE_RULESET = 444
_NR_KEYCTL = {"x86_64": 250, "aarch64": 219}
_NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_NR_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NR_BPF = {"x86_64": 321, "aarch64": 280}
_BPF_PROG_LOAD, _BPF_PROG_ATTACH, _BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 5, 8, 18
_KEYCTL_GET_KEYRING_ID, _KEYCTL_JOIN_SESSION_KEYRING, _SESSION_KEYRING = 0, 1, -3
_SECCOMP_GET_ACTION_AVAIL = 2
_LANDLOCK_CREATE_RULESET_VERSION = 1

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 0x4000, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

# How readily the kernel kills a process when memory runs out: cells first, then zygotes, then fronts, and the
# warden last.  A function can be called again, and another zygote starts in a fraction of a second.
CELL_OOM_SCORE, ZYGOTE_OOM_SCORE, FRONT_OOM_SCORE, WARDEN_OOM_SCORE = 1000, 300, -500, -900

CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN = 5, 6, 7, 8, 21

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8

_OPEN_TREE_CLONE = 1
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_OVERLAY = {"redirect_dir": "nofollow", "metacopy": "off", "index": "off", "nfs_export": "off", "xino": "off"}
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x01, 0x02, 0x04, 0x08


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """unshare(2).  Why: os.unshare is 3.12.  Safe because: flags are constants of ours."""
    _check(_libc.unshare(flags), "unshare")


def prctl(option: int, value: int) -> None:
    """prctl(2).  Why: no Python wrapper.  Safe because: integers only."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl({option})")


def set_oom_score(score: int, unprivileged: int) -> None:
    """Set how readily the kernel kills this process when memory runs out: from -1000 (never) to 1000 (first).

    Lowering it needs a capability.  Without the capability ``unprivileged`` is set, which must not be lower
    than the present score.
    """
    for wanted in (score, unprivileged):
        with contextlib.suppress(PermissionError), open("/proc/self/oom_score_adj", "w", buffering=1) as file:
            file.write(str(wanted))
            file.flush()
            return


def drop_bounding_set(keeps: Collection[int]) -> None:
    """Drop every capability from the bounding set but these.  Needs CAP_SETPCAP."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_READ, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            return  # EINVAL: past the last one
        if capability not in keeps:
            prctl(PR_CAPBSET_DROP, capability)


def enter_user_namespace(more: int = 0, inner: tuple[int, int] | None = None) -> None:
    """Enter a new user namespace, in which an ordinary user has every right over what it makes there.

    ``more`` are flags of further namespaces, ``inner`` our user and group id there; None keeps the numbers.
    Only with one thread.  Safe because: our own id alone is mapped, and setgroups is denied first, as the
    kernel demands of an unprivileged process.
    """
    uid, gid = os.geteuid(), os.getegid()
    user, group = inner or (uid, gid)
    unshare(CLONE_NEWUSER | more)
    maps = (("setgroups", "deny"), ("uid_map", f"{user} {uid} 1"), ("gid_map", f"{group} {gid} 1"))
    for name, text in maps:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2).  Why: no Python wrapper.  Safe because: only in a mount namespace of our own."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {target}")


def umount_detached(target: str) -> None:
    """umount2(2) with MNT_DETACH.  Safe because: only in a mount namespace of our own."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root_here() -> None:
    """``pivot_root(".", ".")``: the old root ends up over the new one, to be detached next."""
    _check(_libc.syscall(_NR_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")


def clone_tree(path: str, directory_fd: int = _AT_FDCWD) -> int:
    """A detached copy of the mounts at ``path`` (or at ``directory_fd`` itself for ``""``)."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE | (0 if path else _AT_EMPTY_PATH)
    return _check(_libc.syscall(_NR_OPEN_TREE, directory_fd, path.encode(), flags), f"open_tree {path}")


def detached(kind: str, options: Mapping[str, str], attributes: int) -> int:
    """Make a file system of that kind, as a detached mount.  Raises OSError.

    Why: a detached mount has no path until it is attached.  Safe because: names and options are constants of
    ours.
    """
    context = _check(_libc.syscall(_NR_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC), f"fsopen {kind}")
    try:
        for name, value in options.items():
            pair = (name.encode(), value.encode())
            _check(_libc.syscall(_NR_FSCONFIG, context, _FSCONFIG_SET_STRING, *pair, 0), f"fsconfig {name}")
        _check(_libc.syscall(_NR_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0), f"fsconfig {kind}")
        return _check(_libc.syscall(_NR_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes), f"fsmount {kind}")
    finally:
        os.close(context)


def overlay(directory_fd: int, nothing_fd: int, attributes: int) -> int:
    """The folder as the root of an overlay file system: read-only and detached.  Raises OSError.

    Why: for a cloned mount /proc/self/mountinfo shows the folder's path on the host, for an overlay it does
    not.  Takes 28 µs, a clone 8.  Safe because: there is no upper layer, and overlay attributes of files are
    not followed.  The kernel wants two lower layers, so an empty folder is the second.
    """
    # mountinfo shows the names of the layers, so these name only descriptors.
    layers = {"lowerdir": f"/proc/self/fd/{directory_fd}:/proc/self/fd/{nothing_fd}"}
    return detached("overlay", {**layers, **_OVERLAY}, attributes)


def set_attributes(descriptor: int, attributes: int, path: str = "", recursive: bool = True) -> None:
    """Set attributes on a (detached) mount, and on every mount below it if ``recursive``."""
    packed = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = (_AT_RECURSIVE if recursive else 0) | (0 if path else _AT_EMPTY_PATH)
    result = _libc.syscall(
        _NR_MOUNT_SETATTR, descriptor, path.encode(), flags, packed, ctypes.c_size_t(len(packed))
    )
    _check(result, f"mount_setattr {path}")


def attach(descriptor: int, target: str) -> None:
    """move_mount(2) of a detached tree to ``target``."""
    result = _libc.syscall(
        _NR_MOVE_MOUNT, descriptor, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH
    )
    _check(result, f"move_mount {target}")


def open_beneath(directory_fd: int, name: str) -> int:
    """A directory below ``directory_fd`` as an O_PATH descriptor.

    Why: for a path inside a tree that a less trusted process writes.  Safe because: the kernel follows no
    link and leaves neither the directory nor its mount.  If openat2 is missing, or a filter such as systemd's
    RestrictSUIDSGID hides it, each part of the name is opened by itself, with the same result.
    """
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_XDEV
    how = struct.pack("=QQQ", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, resolve)
    result = _libc.syscall(_NR_OPENAT2, directory_fd, name.encode(), how, ctypes.c_size_t(len(how)))
    if result < 0 and ctypes.get_errno() == errno.ENOSYS:
        return open_part_by_part(directory_fd, name)
    return _check(result, f"openat2 {name}")


def open_part_by_part(directory_fd: int, name: str) -> int:
    """``open_beneath`` without openat2.  Raises OSError for a link, for "..", and for another mount."""
    device = os.fstat(directory_fd).st_dev
    opened = os.dup(directory_fd)
    for part in name.split("/"):
        try:
            if part in ("", ".", ".."):
                raise OSError(errno.EXDEV, f"open {name}: {part!r} leads elsewhere")
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
        finally:
            os.close(opened)
        opened = below
        if os.fstat(opened).st_dev != device:
            os.close(opened)
            raise OSError(errno.EXDEV, f"open {name}: {part} is another mount")
    return opened


def landlock_abi() -> int:
    """The version of the kernel's Landlock interface.

    Raises OSError (ENOSYS, EOPNOTSUPP) without Landlock.
    """
    flags = _LANDLOCK_CREATE_RULESET_VERSION
    return _check(_libc.syscall(_NR_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), flags), "landlock")


def session_keyring() -> int:
    """The serial number of our session keyring; 0 if the kernel has no keyrings."""
    found: int = _libc.syscall(_NR_KEYCTL[os.uname().machine], _KEYCTL_GET_KEYRING_ID, _SESSION_KEYRING, 0)
    return max(0, found)


def join_new_keyring() -> None:
    """Take a new session keyring.  Raises OSError, with ENOSYS if the kernel has none.

    Why: no Python wrapper.  Safe because: no argument is a pointer, and only a probe's child does it.
    """
    number = _NR_KEYCTL[os.uname().machine]
    _check(_libc.syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None), "keyctl")


def seccomp_has(action: int) -> None:
    """Check that the kernel knows the seccomp action ``action``.  Raises OSError if not."""
    packed = struct.pack("=I", action)
    number = _NR_SECCOMP[os.uname().machine]
    _check(_libc.syscall(number, _SECCOMP_GET_ACTION_AVAIL, 0, packed), f"seccomp action {action:#x}")


def load_address_program(program: bytes, kind: int) -> int:
    """Load a BPF program that checks addresses, to be attached as ``kind``.  Returns its descriptor."""
    code, licence = (
        ctypes.create_string_buffer(program, len(program)),
        ctypes.create_string_buffer(b"Apache-2.0"),
    )
    # union bpf_attr: type, instructions, code, licence, no log, version, flags, name, interface, attach type.
    attributes = struct.pack(
        "=IIQQIIQII16sII", _BPF_PROG_TYPE_CGROUP_SOCK_ADDR, len(program) // 8, ctypes.addressof(code),
        ctypes.addressof(licence), 0, 0, 0, 0, 0, b"cb_addresses", 0, kind,
    )  # fmt: skip
    return _bpf(_BPF_PROG_LOAD, attributes)


def attach_program(group_fd: int, program_fd: int, kind: int) -> None:
    """Attach a program to a cgroup v2 folder and all below it.  It replaces one that a killed server left."""
    _bpf(_BPF_PROG_ATTACH, struct.pack("=IIII", group_fd, program_fd, kind, 0))


def _bpf(command: int, attributes: bytes) -> int:
    """bpf(2).  Why: no wrapper.  Safe because: the buffers outlive the call; the kernel checks programs."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    number = _NR_BPF[os.uname().machine]
    return _check(_libc.syscall(number, command, buffer, ctypes.c_size_t(len(attributes))), "bpf")
