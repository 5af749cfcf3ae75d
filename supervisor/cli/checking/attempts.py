"""Attempts at what a server does, each in a throw-away child: what fails here would fail there.

An attempt returns what it saw and raises OSError with the reason.  Its child ends, so it undoes nothing but
files (``supervisor.warden.jail.probes``).
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from supervisor.function_limits import Limits
from supervisor.settings.declarations import Settings
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail.cgroup_hierarchies import LIMIT_FILES, read_own_places
from supervisor.warden.jail.device_nodes import own_devices
from supervisor.warden.jail.probes import PROBES

# Bits of CapEff (linux/capability.h) that a server of root's needs; the unit's bounding set says for what.
# CAP_SYS_ADMIN is not among them: without it cells have no mounts of their own, and the tier is B.
NEEDED_CAPABILITIES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
    "CAP_SETPCAP": 8, "CAP_SETFCAP": 31,
}  # fmt: skip
# A kernel without it says so; anything else is a filter around the server.
NOT_IN_THIS_KERNEL = (errno.ENOSYS, errno.EOPNOTSUPP)
# The warden, gunicorn and its workers, zygotes, and the cells that one call takes.
PROCESSES_LEAST = 64
# A front maps some 2 GiB, and a function with numpy as much.
ADDRESS_SPACE_LEAST = 8 << 30
# The warden, two fronts and a zygote have some 150 MiB, and one function by default 128.
MEMORY_LEAST = 320 << 20
# The store and a log are files, and SQLite's are as large as what is stored.
FILE_SIZE_LEAST = 1 << 40
# Of a front's processor time in ten years.
CPU_SECONDS_LEAST = 1 << 28
# A connection over loopback takes microseconds; one whose packets are dropped never comes.
LOOPBACK_SECONDS = 3.0
EVERY_ID = 4_294_967_295


def _refused(number: int, why: str) -> OSError:
    return OSError(number, why)


def namespaces(_: Settings) -> str:
    """A cell's seven namespaces."""
    return PROBES["namespaces"]()


def mounts(_: Settings) -> str:
    """The mounts of a cell's root."""
    return PROBES["mounts-as-root" if os.geteuid() == 0 else "mounts"]()


def proc(_: Settings) -> str:
    """A /proc of a cell's own, and in it what keeps a cell from nesting namespaces."""
    if os.geteuid() != 0:  # root's zygotes have a whole /proc in a mount namespace of theirs
        pid = os.fork()
        if pid == 0:
            _end_with(_forbid_nesting)
        if code := os.WEXITSTATUS(os.waitpid(pid, 0)[1]):
            raise _refused(code, f"/proc/sys/user: {os.strerror(code)}")
    return PROBES["proc"]()


def _forbid_nesting() -> None:
    sys_.enter_user_namespace()
    with open("/proc/sys/user/max_user_namespaces", "w") as knob:
        knob.write("0")


def _end_with(work: Callable[[], None]) -> NoReturn:
    """This child's exit code is the errno of what it could not do."""
    try:
        work()
        os._exit(0)
    except OSError as error:
        os._exit(error.errno or 255)


def host_name(_: Settings) -> str:
    """A host name of a cell's own, where cells have namespaces: without, the tier is one that has none."""
    try:
        if os.geteuid() != 0:
            sys_.enter_user_namespace()
        sys_.unshare(sys_.CLONE_NEWUTS)
    except OSError:
        return "no namespace"
    socket.sethostname("check")
    return "set in a namespace of its own"


def user_ids(_: Settings) -> str:
    """The user ids of the host, of which fronts and cells have some."""
    rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if [row[1:] for row in rows] != [["0", str(EVERY_ID)]]:
        of_host = ", ".join(" ".join(row) for row in rows)
        raise _refused(errno.EINVAL, f"this user namespace has the ids {of_host}")
    return PROBES["foreign-processes"]()


def capabilities(_: Settings) -> str:
    """What root may usually do."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (effective,) = (int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    missing = [name for name, bit in NEEDED_CAPABILITIES.items() if not effective >> bit & 1]
    if missing:
        raise _refused(errno.EPERM, f"no {', '.join(missing)}")
    return "those that a server needs"


def devices(_: Settings) -> str:
    """Device nodes of a cell's own."""
    os.close(own_devices())
    return "made"


def kernel_files(_: Settings) -> str:
    """What the warden reads of the host."""
    for path in ("/proc/meminfo", "/proc/sys/kernel/pid_max"):
        with open(path, "rb") as file:
            file.read()
    return "/proc has them"


def data_dir(settings: Settings) -> str:
    """A file in the data directory, or in the folder in which it will be made."""
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder):
        return f"a file made in {folder}"


def internet(settings: Settings) -> str:
    """A socket for callers, and a pair for messages between our processes."""
    host, _ = settings.host_and_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener, socket.socket(family) as caller:
        listener.bind((host, 0))
        listener.listen()
        # To an address that stands for all, as to loopback.
        caller.settimeout(LOOPBACK_SECONDS)
        caller.connect(listener.getsockname()[:2])
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
        end.close()
    return f"bound to {host}"


def interfaces(_: Settings) -> str:
    """An interface besides loopback."""
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not names:
        raise _refused(errno.ENETUNREACH, "only loopback is here")
    return ", ".join(names)


def system_calls(_: Settings) -> str:
    """The calls by which a cell is locked down and its processes are told apart."""
    try:
        sys_.landlock_abi()
    except OSError as error:
        if error.errno not in NOT_IN_THIS_KERNEL:
            raise
    sys_.session_keyring()
    try:
        sys_.join_new_keyring()
    except OSError as error:
        if error.errno not in NOT_IN_THIS_KERNEL:
            raise
    PROBES["seccomp"]()
    return PROBES["pidfd"]()


def scheduling(_: Settings) -> str:
    """What a program may change of its own processor time, which a function may too."""
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    return "priority and affinity set to what they are"


def executable_memory(_: Settings) -> str:
    """Memory that can be written and executed, as compilers at run time make it."""
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    return "made"


def tasks(_: Settings) -> str:
    """Room for processes in the server's cgroup."""
    places = read_own_places()
    place = places.get("pids") or places.get("")
    if place is None:
        return "no cgroup counts them"
    limit = Path(place.path) / LIMIT_FILES["pids"][place.version]
    text = limit.read_text().strip() if limit.exists() else "max"
    if text == "max":
        return "no limit"
    left = int(text) - int((Path(place.path) / "pids.current").read_text())
    if left < PROCESSES_LEAST:
        raise _refused(errno.EAGAIN, f"{left} left of {text}")
    return f"{left} left of {text}"


def memory(_: Settings) -> str:
    """Room for the server and a function in its own cgroup."""
    places = read_own_places()
    place = places.get("memory") or places.get("")
    if place is None:
        return "no cgroup counts it"
    limit = Path(place.path) / LIMIT_FILES["memory"][place.version]
    text = limit.read_text().strip() if limit.exists() else "max"
    if text != "max" and int(text) < MEMORY_LEAST:
        raise _refused(errno.ENOMEM, f"{int(text) >> 20} MiB, and {MEMORY_LEAST >> 20} are needed")
    return "no limit" if text == "max" else f"{int(text) >> 20} MiB"


def limits(_: Settings) -> str:
    """Limits of a process that a cell, or Python itself, needs to be higher."""
    wanted = (
        ("LimitNPROC", resource.RLIMIT_NPROC, Limits().processes),
        ("LimitCORE", resource.RLIMIT_CORE, 1),  # a core_pattern that is a pipe ignores 0
        ("LimitAS", resource.RLIMIT_AS, ADDRESS_SPACE_LEAST),
        ("LimitDATA", resource.RLIMIT_DATA, ADDRESS_SPACE_LEAST),
        ("LimitFSIZE", resource.RLIMIT_FSIZE, FILE_SIZE_LEAST),
        ("LimitCPU", resource.RLIMIT_CPU, CPU_SECONDS_LEAST),
    )
    low = []
    for name, number, least in wanted:
        hard = resource.getrlimit(number)[1]
        if hard != resource.RLIM_INFINITY and hard < least:
            low.append(f"{name}={hard}, and {least} are needed")
    if low:
        raise _refused(errno.EPERM, "; ".join(low))
    return "high enough"
