"""System calls that Python 3.9 does not offer.  No other module of the cell's side uses ctypes.

Each function raises OSError with the call's name.  Numbers above 424 are the same on every architecture.
"""

import ctypes
import os
import socket
import struct
from typing import Any, Dict, List

# PyDLL holds the interpreter lock during the call.  clone() needs that: the child's only thread must hold the
# lock.  The other calls are too short to be worth a release.
_libc = ctypes.PyDLL(None, use_errno=True)

# The steps of ``make_heap_last``: small enough that malloc takes them from the heap and makes no mapping of
# their own, and many, because malloc fills the holes in the heap first.
_HEAP_STEP_BYTES, _HEAP_STEPS_MOST = 100 << 10, 48
_HEAP_LEFT_BYTES = 1 << 20
# The sizes of malloc's blocks, as it rounds them; for one of 128 KiB it maps memory.
_HEAP_SIZES = (1 << 16, 1 << 15, 1 << 14, 1 << 13, *range(1 << 12, 0, -16))
# A heap has less in free blocks, and another malloc than glibc's may hand out addresses in any order.
_HEAP_FILL_BYTES = 32 << 20

_MACHINE = os.uname().machine
# Each architecture has its own numbers below 424; all share those above.
_OLD_NUMBERS = {
    "x86_64": {
        "clone": 56, "mincore": 27, "kill": 62, "mount": 165, "sethostname": 170, "keyctl": 250,
        "unshare": 272, "splice": 275, "seccomp": 317, "memfd_create": 319,
    },
    "aarch64": {
        "clone": 220, "mincore": 232, "kill": 129, "mount": 40, "sethostname": 161, "keyctl": 219,
        "unshare": 97, "splice": 76, "seccomp": 277, "memfd_create": 279,
    },
}  # fmt: skip
_NUMBERS = {
    **_OLD_NUMBERS.get(_MACHINE, {}),
    "io_uring_setup": 425, "move_mount": 429, "clone3": 435, "close_range": 436,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
}  # fmt: skip

CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
SIGCHLD = 17

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_THP_DISABLE = 41
MADV_NOHUGEPAGE = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_SET_SPECULATION_CTRL = 53
PR_SPEC_FORCE_DISABLE = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
# NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each with its lock.
SECUREBITS_LOCKED = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40 | 0x80

_MNT_DETACH = 2
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_AT_FDCWD = -100
_CAPABILITY_VERSION_3 = 0x20080522
_KEYCTL_GET_KEYRING_ID, _KEYCTL_JOIN_SESSION_KEYRING = 0, 1
_KEY_SPEC_SESSION_KEYRING = -3
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1
_FILTER_INSTRUCTION_BYTES = 8


def _fail(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, "%s: %s" % (call, os.strerror(number)))


def call(name: str, *arguments: Any) -> int:
    """Make a system call by its name; OSError names it.

    Why: libc has no function for these calls.
    Safe because: the callers pass integers and buffers that outlive the call.
    """
    # Integers as longs: ctypes would pass an int, and the kernel may read its undefined upper half.
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result: int = _libc.syscall(_NUMBERS[name], *passed)
    if result < 0:
        raise _fail(name)
    return result


def clone(flags: int) -> int:
    """``fork`` with namespace flags: 0 in the child, its pid in the caller.

    Why: one clone makes the namespaces and pid 1 at once; unshare would need a second fork.
    Safe because: the caller has one thread, and the child (pid 1 of a cell) uses nothing that libc caches per
    thread.  It forks the worker with os.fork, which renews those caches.
    """
    return call("clone", flags | SIGCHLD, 0, 0, 0, 0)


def prctl(option: int, value: int = 0, third: int = 0) -> int:
    """prctl(2).  Why: no Python wrapper.  Safe because: integers only."""
    result: int = _libc.prctl(
        option, ctypes.c_ulong(value), ctypes.c_ulong(third), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    if result < 0:
        raise _fail("prctl(%d)" % option)
    return result


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2).  Why: no Python wrapper.  Safe because: the arguments are our constants."""
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()) < 0:
        raise _fail("mount %s" % target)


def madvise(address: int, length: int, advice: int) -> None:
    """madvise(2) by address.  Safe because: advice about pages changes no byte."""
    if _libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), advice) < 0:
        raise _fail("madvise")


class _HeapInfo(ctypes.Structure):
    """The result of mallinfo2(3); its last field is the room that is left at the heap's end."""

    _fields_ = [("_%d" % number, ctypes.c_size_t) for number in range(9)] + [("left", ctypes.c_size_t)]


def make_heap_last() -> int:
    """Have malloc's heap grow now if less than 1 MiB is left at its end; returns how many bytes are left.

    Why: Python cannot tell where the heap ends.  Safe because: nobody uses the memory that is taken here.  It
    is not freed either, or glibc would trim the heap again.  Does nothing before glibc 2.33.
    """
    try:
        info = _libc.mallinfo2
    except AttributeError:
        return 0
    info.restype, _libc.malloc.restype = _HeapInfo, ctypes.c_void_p
    for _ in range(_HEAP_STEPS_MOST):
        if info().left >= _HEAP_LEFT_BYTES:
            break
        _libc.malloc(ctypes.c_size_t(_HEAP_STEP_BYTES))
    left: int = info().left
    return left


def fill_heap() -> None:
    """Have malloc hand out every free block of its heap, from the largest size on; they are never freed.

    Why: what a cell allocates then lies together at the heap's end, and not between shared blocks, each of
    which would have a page copied.  Safe because: nobody uses the memory.
    """
    _libc.malloc.restype = ctypes.c_void_p
    highest, left = 0, _HEAP_FILL_BYTES
    for size in _HEAP_SIZES:
        while left > 0:
            left -= size
            block = _libc.malloc(ctypes.c_size_t(size)) or 0
            if block >= highest:  # from the end: no free block of this size is left
                highest = block
                break


def umount_detached(target: str) -> None:
    """umount2(2).  Safe because: it runs in a mount namespace of our own."""
    if _libc.umount2(target.encode(), _MNT_DETACH) < 0:
        raise _fail("umount2 %s" % target)


def move_mount(descriptor: int, target: str) -> None:
    """Attach a detached mount.  Safe because: the source is a descriptor, so no path can be swapped."""
    call("move_mount", descriptor, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH)


def close_range(first: int) -> None:
    """Close every descriptor from ``first`` on.  Why: before Python 3.10 os.closerange is a loop."""
    call("close_range", first, 0xFFFFFFFF, 0)


def sethostname(name: str) -> None:
    """sethostname(2).  Safe because: it names the cell's own uts namespace."""
    raw = name.encode()
    if _libc.sethostname(raw, ctypes.c_size_t(len(raw))) < 0:
        raise _fail("sethostname")


def drop_capability_sets(keep: int = 0) -> None:
    """Empty the effective, permitted and inheritable sets, but for the held capabilities of ``keep``."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if keep:
        keep &= capability_sets()["CapPrm"]
    if _libc.capset(header, struct.pack("=6I", keep, keep, 0, 0, 0, 0)) < 0:
        raise _fail("capset")


def drop_bounding_set() -> None:
    """Drop every capability the kernel knows from the bounding set."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_READ, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            return  # EINVAL: past the last one
        prctl(PR_CAPBSET_DROP, capability)


def capability_sets() -> Dict[str, int]:
    """The effective, permitted and inheritable sets as the kernel states them.

    The ambient set is a subset of the last two.  Why by capget: a cell's root may have no /proc.
    """
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = ctypes.create_string_buffer(24)
    if _libc.capget(header, sets) < 0:
        raise _fail("capget")
    effective, permitted, inheritable, effective_high, permitted_high, inheritable_high = struct.unpack(
        "=6I", sets.raw
    )
    return {
        "CapEff": effective | effective_high << 32,
        "CapPrm": permitted | permitted_high << 32,
        "CapInh": inheritable | inheritable_high << 32,
    }


def held_capabilities() -> Dict[str, int]:
    """The sets of ``capability_sets`` that are not empty."""
    return {name: bits for name, bits in capability_sets().items() if bits}


def bounding_set() -> int:
    """The bounding set, which limits what an exec can gain; asks for each known capability."""
    bounding = 0
    for capability in range(64):
        held = _libc.prctl(PR_CAPBSET_READ, ctypes.c_ulong(capability), 0, 0, 0)
        if held < 0:
            break
        bounding |= held << capability
    return bounding


def loopback_up() -> None:
    """Set ``lo`` of this network namespace up, as ``ip link set lo up`` does."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        request = ctypes.create_string_buffer(struct.pack("16sh14x", b"lo", 0))
        _ioctl(probe.fileno(), siocgifflags, request)
        flags = struct.unpack("16sh14x", request.raw[:-1])[1]
        _ioctl(probe.fileno(), siocsifflags, struct.pack("16sh14x", b"lo", flags | iff_up))


def _ioctl(descriptor: int, number: int, request: Any) -> None:
    # Not by the module fcntl: each extension module is five more mappings for every fork to copy.
    if _libc.ioctl(descriptor, ctypes.c_ulong(number), request) < 0:
        raise _fail("ioctl(%#x)" % number)


def unshare(flags: int) -> None:
    """unshare(2).  Why: os.unshare is 3.12.  Safe because: the flags are our constants."""
    call("unshare", flags)


def death_signal() -> int:
    """The signal that this process gets when its parent dies, 0 for none."""
    number = ctypes.c_int(0)
    if _libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0) < 0:
        raise _fail("prctl(PR_GET_PDEATHSIG)")
    return number.value


def session_keyring() -> int:
    """The serial number of this process's session keyring; OSError (ENOSYS) if the kernel has no keyrings."""
    return call("keyctl", _KEYCTL_GET_KEYRING_ID, _KEY_SPEC_SESSION_KEYRING, 0)


def join_new_keyring() -> int:
    """Give this process a new session keyring without a name; returns its serial number."""
    return call("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, None)


def install_filter(program: bytes) -> None:
    """Put all threads of this process under a seccomp filter, for good.

    ``program`` is an array of ``struct sock_filter``.  Why: no Python wrapper.  Safe because: the program
    comes from the warden, and the kernel checks it first.  (``seccomp.install`` does the same for a front,
    but no cell can import that package.)
    """
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a short, six bytes of padding, a pointer.
    header = struct.pack("=HxxxxxxQ", len(program) // _FILTER_INSTRUCTION_BYTES, ctypes.addressof(code))
    refused = call("seccomp", _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, header)
    if refused:  # with TSYNC: the id of a thread that could not get the filter
        raise OSError(0, "seccomp: thread %d could not be put under the filter" % refused)


def open_descriptors() -> List[int]:
    """The open descriptors, in order; without a readable /proc only those below 1024, by asking for each."""
    try:
        listed = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        pass
    else:
        # The listing includes its own descriptor, which is closed by now.
        return sorted(number for number in listed if _is_open(number))
    return [number for number in range(1024) if _is_open(number)]


def _is_open(descriptor: int) -> bool:
    try:
        os.get_inheritable(descriptor)
    except OSError:
        return False
    return True


def mallopt(parameter: int, value: int) -> bool:
    """mallopt(3).  Why: no Python wrapper.  Safe because: malloc refuses unknown parameters."""
    return bool(_libc.mallopt(ctypes.c_int(parameter), ctypes.c_int(min(value, 2**31 - 1))))


# The setter's names in the builds of OpenBLAS.
_BLAS_SETTERS = tuple(
    prefix + "openblas_set_num_threads" + suffix for prefix in ("scipy_", "") for suffix in ("64_", "")
)


def set_blas_threads(library: str, count: int) -> bool:
    """Tell a loaded OpenBLAS how many threads to use; False if it has no such function.

    Why: it has read the environment already.  Safe because: it passes one integer to a function of that
    signature, before there is tenant code.
    """
    try:
        loaded = ctypes.CDLL(library)
    except OSError:
        return False
    for name in _BLAS_SETTERS:
        setter = getattr(loaded, name, None)
        if setter is not None:
            setter(ctypes.c_int(count))
            return True
    return False
