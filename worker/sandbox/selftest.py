"""Calls that must fail: each cell tries them, in trusted code, just before the import of the tenant's code.

There are two lists, because the filter would answer instead of the layers below it.  A check returns its
evidence or raises Breach; there is no third way.  A call that succeeds by mistake does no harm: knobs are
opened and not written, signals are signal 0, and calls that would change something get arguments that the
kernel refuses after it has asked the layer in question.

A breach is more than the failure of one cell: the warden stops serving the tier (``supervisor.warden``).
"""

import errno
import fcntl
import os
import resource
import socket
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from .. import PACKAGE_FOLDER
from .. import _syscalls as sys_
from .lockdown_state import UNUSED_FD

# The metadata address of most clouds, and two addresses for documentation, which no host has.
METADATA = "169.254.169.254"
FAR_ADDRESSES = ("192.0.2.1", "198.51.100.1")
# Not /root or /home: a runtime may be mounted below them.
HOSTS_FILES = ("/etc/shadow", "/etc/profile", "/boot", "/run", "/sys/kernel", "/var/log")
KNOBS = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/kcore", "/proc/keys")
# The device nodes of a cell, and all entries of its /dev.
NODES = ("full", "null", "random", "urandom", "zero")
DEV_ENTRIES = sorted((*NODES, "fd", "shm", "stderr", "stdin", "stdout"))
BAD_FD = -1
# Constants of fcntl(2) that not every Python version has.
F_GET_SEALS, F_SEAL_EXEC = 1034, 0x20
AF_ALG = 38
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")

# (layer, "enforced" or "absent", evidence or reason)
Proof = Tuple[str, str, str]


class Breach(Exception):
    """A call that must fail succeeded, or failed for another reason than its layer."""


class Expected(NamedTuple):
    """What this cell was made with; ``namespaces``, ``outsider`` and ``keyring`` are the server's own."""

    network: str
    ids: Tuple[int, int]
    outsider: int
    namespaces: Dict[str, str]
    keyring: int
    devices: int
    guards_metadata: bool
    has_landlock: bool
    has_memfd_knob: bool


def _errno_name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def refused(what: str, attempt: Callable[[], Any], *numbers: int) -> str:
    """The evidence that ``attempt`` raises OSError with one of these numbers; else Breach."""
    try:
        attempt()
    except OSError as error:
        if error.errno in numbers:
            return "%s: %s" % (what, _errno_name(error.errno))
        raise Breach(
            "%s answered %s where %s was expected"
            % (what, _errno_name(error.errno or 0), " or ".join(_errno_name(number) for number in numbers))
        ) from None
    raise Breach("%s succeeded" % what)


def _same(what: str, found: Any, expected: Any) -> str:
    if found != expected:
        raise Breach("%s is %s, not %s" % (what, found, expected))
    return "%s = %s" % (what, found)


def _opened(path: str, flags: int = os.O_RDONLY) -> Callable[[], None]:
    return lambda: os.close(os.open(path, flags | os.O_CLOEXEC))


def _user(expected: Expected) -> str:
    _same("ids", os.getresuid() + os.getresgid(), (expected.ids[0],) * 3 + (expected.ids[1],) * 3)
    for name in ("uid_map", "gid_map"):
        with open("/proc/self/" + name) as file:
            outer = [int(line.split()[1]) for line in file]
        if not outer or 0 in outer:
            raise Breach("%s maps to %s outside: never 0, and never nothing" % (name, outer))
    return "outer ids are not 0"


def _own_namespaces(expected: Expected) -> str:
    shared = []
    for kind in NAMESPACES:
        is_meant = kind == "net" and expected.network != "none"
        if os.readlink("/proc/self/ns/" + kind) == expected.namespaces[kind] and not is_meant:
            shared.append(kind)
    if shared:
        raise Breach("shares the server's namespaces: %s" % ", ".join(shared))
    return "none of %s is the server's" % ", ".join(NAMESPACES)


def _hosts_files(_: Expected) -> str:
    return "; ".join(refused(path, _opened(path), errno.ENOENT) for path in HOSTS_FILES)


def _read_only(_: Expected) -> str:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    ours = PACKAGE_FOLDER + "/"
    for folder in ("/", "/usr/lib/", "/etc/", ours):
        refused("a new file in " + folder, _opened(folder + ".cellblock", flags), errno.EROFS)
    return "a new file in /, /usr/lib, /etc, %s: EROFS" % ours


def _proc(_: Expected) -> str:
    return "; ".join(refused(path, _opened(path), errno.ENOENT) for path in KNOBS)


def _devices(_: Expected) -> str:
    return _same("/dev", sorted(os.listdir("/dev")), DEV_ENTRIES)


def _own_devices(expected: Expected) -> str:
    for name in NODES:
        _same("the file system of " + name, os.stat("/dev/" + name).st_dev, expected.devices)
    _same("that of standard input", os.fstat(0).st_dev, expected.devices)
    return "locks on devices and standard input are the cell's own"


def _others_processes(expected: Expected) -> str:
    _same("the parent", os.getppid(), 1)
    return refused("signal 0 to the server", lambda: os.kill(expected.outsider, 0), errno.ESRCH)


def _network(expected: Expected) -> str:
    found = []
    for address in FAR_ADDRESSES:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            found.append(
                refused("connect to " + address, lambda: probe.connect((address, 80)), errno.ENETUNREACH)  # noqa: B023
            )
    return "; ".join(found)


def _metadata(expected: Expected) -> str:
    if expected.network == "none":
        return "the function has no network"
    # Connecting a datagram socket sends no packet.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return refused(METADATA, lambda: probe.connect((METADATA, 80)), errno.EPERM)


def _cgroups(_: Expected) -> str:
    with open("/proc/self/cgroup") as file:
        seen = sorted({line.rstrip("\n").split(":", 2)[2] for line in file})
    if seen not in ([], ["/"]):
        raise Breach("the cell sees the cgroups %s, not the root of its own" % seen)
    return "every path in /proc/self/cgroup is /"


def _no_nesting(_: Expected) -> str:
    attempt = lambda: sys_.unshare(sys_.CLONE_NEWUSER)  # noqa: E731
    return refused("unshare(CLONE_NEWUSER)", attempt, errno.ENOSPC, errno.EUSERS)


def _code() -> str:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return refused("a new file in /function", _opened("/function/.cellblock", flags), errno.EROFS)


def _tmp(most: int) -> str:
    for path in ("/tmp", "/dev/shm"):
        found = os.statvfs(path)
        size = found.f_blocks * found.f_frsize
        if path == "/tmp" and size > most + found.f_frsize:
            raise Breach("/tmp has %d bytes, not %d" % (size, most))
        if not size or not found.f_files:
            raise Breach("%s has no limit" % path)
        if not found.f_flag & os.ST_NOSUID or not found.f_flag & os.ST_NODEV:
            raise Breach("%s honours set-uid files or devices" % path)
    return "/tmp has %d bytes; nosuid, nodev" % most


def _rlimits(rlimits: Tuple[Tuple[int, int], ...]) -> str:
    for kind, most in rlimits:
        _same("limit %d" % kind, resource.getrlimit(kind), (most, most))
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (2, 2))
    except (ValueError, PermissionError):  # ValueError is what resource makes of EPERM
        return "%d limits, none can be raised" % len(rlimits)
    raise Breach("a limit could be raised")


def _capabilities(_: Expected) -> str:
    _same("capability sets", sys_.held_capabilities(), {})
    _same("the bounding set", sys_.bounding_set(), 0)
    _same("securebits", sys_.prctl(sys_.PR_GET_SECUREBITS), sys_.SECUREBITS_LOCKED)
    # No kernel takes this length, but it looks at the capability first.
    found = refused("sethostname", lambda: sys_.call("sethostname", b"x", 1 << 20), errno.EPERM)
    mounted = refused("mount", lambda: sys_.mount("none", "/tmp", "none", 0), errno.EPERM)
    became = refused("setuid(0)", lambda: os.setuid(0), errno.EPERM, errno.EINVAL)
    return "five empty sets; %s; %s; %s" % (found, mounted, became)


def _privileges(_: Expected) -> str:
    _same("no_new_privs", sys_.prctl(sys_.PR_GET_NO_NEW_PRIVS), 1)
    _same("dumpable", sys_.prctl(sys_.PR_GET_DUMPABLE), 0)
    _same("the death signal", sys_.death_signal(), 9)
    return "no_new_privs, not dumpable, dies with its parent"


def _descriptors(_: Expected) -> str:
    return _same("open descriptors", sys_.open_descriptors(), list(range(UNUSED_FD)))


def _keyring(expected: Expected) -> str:
    try:
        serial = sys_.session_keyring()
    except OSError as error:
        return "no number of one: %s" % _errno_name(error.errno or 0)  # a kernel or a container without
    if serial == expected.keyring:
        raise Breach("the session keyring is the server's own")
    return "session keyring %d, not the server's" % serial


def _landlock(_: Expected) -> str:
    # Only Landlock refuses a fifo in /dev/shm.
    return refused("mkfifo in /dev/shm", lambda: os.mkfifo("/dev/shm/.cellblock"), errno.EACCES)


def _memfd(_: Expected) -> str:
    # A call that asks for an executable file is refused too, but the kernel writes a warning each time.
    # A call without that flag gets a sealed file if the knob was written.
    descriptor = sys_.call("memfd_create", b"", 0)
    try:
        seals = fcntl.fcntl(descriptor, F_GET_SEALS)
    finally:
        os.close(descriptor)
    if not seals & F_SEAL_EXEC:
        raise Breach("memfd_create made a file that may be made executable")
    return "memfd_create: sealed against being executable"


# (layer, check).  ``_absent`` says which of them a cell does not have.
BEFORE: List[Tuple[str, Callable[[Expected], str]]] = [
    ("user-namespace", _user),
    ("namespaces", _own_namespaces),
    ("mount-namespace", _hosts_files),
    ("read-only-root", _read_only),
    ("proc", _proc),
    ("devices", _devices),
    ("own-devices", _own_devices),
    ("pid-namespace", _others_processes),
    ("network", _network),
    ("metadata", _metadata),
    ("cgroup-namespace", _cgroups),
    ("no-nested-namespaces", _no_nesting),
    ("capabilities", _capabilities),
    ("privileges", _privileges),
    ("descriptors", _descriptors),
    ("keyring", _keyring),
    ("landlock", _landlock),
    ("memfd-noexec", _memfd),
]


def _absent(expected: Expected) -> Dict[str, str]:
    """The layers that this cell was made without, and why."""
    absent = {}
    if expected.network != "none":
        absent["network"] = "the function has network = %s" % expected.network
    if expected.network != "none" and not expected.guards_metadata:
        absent["metadata"] = "network = host reaches them: needs root, cgroup v2 and BPF"
    if not expected.devices:
        absent["own-devices"] = "needs root and mknod; standard input is the cell's own"
    if not expected.has_landlock:
        absent["landlock"] = "the kernel has none that is new enough, or has it off"
    if not expected.has_memfd_knob:
        absent["memfd-noexec"] = "needs root and Linux 6.3; memfd_create is refused by seccomp"
    return absent


def before_the_filter(expected: Expected) -> List[Proof]:
    """Try the layers below the filter; Breach names the first that does not hold."""
    absent = _absent(expected)
    proof: List[Proof] = []
    for layer, check in BEFORE:
        if layer in absent:
            proof.append((layer, "absent", absent[layer]))
        else:
            proof.append(_tried(layer, check, expected))
    return proof


def of_the_function(rlimits: Tuple[Tuple[int, int], ...], tmp_bytes: int) -> List[Proof]:
    """Try the limits that came with the function; Breach names the first that does not hold."""
    return [_tried("code", _code), _tried("tmp", _tmp, tmp_bytes), _tried("rlimits", _rlimits, rlimits)]


def without_namespaces(rlimits: Tuple[Tuple[int, int], ...], outsider: int, keyring: int) -> List[Proof]:
    """Try the layers of a cell of tier B or C; Breach names the first that does not hold."""
    expected = Expected("none", (0, 0), outsider, {}, keyring, 0, False, True, False)
    checks: List[Tuple[str, Callable[[], str]]] = [
        # The file is world-readable, so only Landlock can refuse it.
        ("files", lambda: refused("/etc/passwd", _opened("/etc/passwd"), errno.EACCES)),
        (
            "read-only",
            lambda: refused("/usr", _opened("/usr/.cellblock", os.O_CREAT), errno.EACCES, errno.EROFS),
        ),
        ("proc", lambda: refused(KNOBS[0], _opened(KNOBS[0]), errno.EACCES)),
        ("processes", lambda: refused("signal 0 to the server", lambda: os.kill(outsider, 0), errno.EPERM)),
        ("rlimits", lambda: _rlimits(rlimits)),
        ("privileges", lambda: _privileges(expected)),
        ("descriptors", lambda: _descriptors(expected)),
        ("keyring", lambda: _keyring(expected)),
    ]
    return [_tried(layer, check) for layer, check in checks]


def _tried(layer: str, check: Callable[..., str], *arguments: Any) -> Proof:
    """The proof of one layer; Breach names the layer."""
    try:
        return layer, "enforced", check(*arguments)
    except Breach as breach:
        raise Breach("%s: %s" % (layer, breach)) from None


def after_the_filter(network: str) -> List[Proof]:
    """Try calls that would get another answer without the filter, and do no harm if it is missing."""
    families = [(AF_ALG, errno.EAFNOSUPPORT)]
    if network == "none":
        families.append((socket.AF_INET, errno.EPERM))
    for family, number in families:
        refused(
            "seccomp: socket family %d" % family,
            lambda: socket.socket(family, socket.SOCK_DGRAM).close(),  # noqa: B023
            number,
        )
    found = [
        refused("seccomp: " + name, lambda: sys_.call(name, *arguments), number)  # noqa: B023
        for name, arguments, number in (
            ("unshare", (sys_.CLONE_NEWUSER,), errno.EPERM),  # ENOSPC without
            ("clone3", (None, 0), errno.ENOSYS),  # EINVAL without
            ("io_uring_setup", (0, None), errno.ENOSYS),
            ("memfd_create", (None, 0), errno.ENOSYS),  # EFAULT without
            ("splice", (BAD_FD, None, BAD_FD, None, 1, 0), errno.EPERM),  # EBADF without
            ("keyctl", (-1,), errno.EPERM),  # EOPNOTSUPP without
            ("mincore", (1, 1, None), errno.EPERM),  # EINVAL without
        )
    ]
    return [("seccomp", "enforced", "; ".join(item.replace("seccomp: ", "") for item in found))]
