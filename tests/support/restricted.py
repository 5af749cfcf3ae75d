"""``python -m tests.support.restricted NAME FOLDER -- COMMAND…``: a program under a unit's directive.

``python -m tests.support.restricted all FOLDER`` prints what ``cellblock check`` finds under each.

Each restriction is made by hand, with the calls that systemd makes for it (its src/core/execute.c and
src/shared/seccomp-util.c), so it can be tried where no systemd runs.  FOLDER is the server's data directory.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from seccomp.install import install
from seccomp.tables import NUMBERS
from supervisor.cli.checking import restrictions
from supervisor.settings.declarations import Settings
from supervisor.warden.jail import _host_syscalls as sys_
from worker import _syscalls as worker_sys

PR_SET_NO_NEW_PRIVS = 38
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
# Codes of classic BPF: load a word of struct seccomp_data, AND, jump if equal, return.
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
FIRST_ARGUMENT = 16
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
LAST_CAPABILITY = 40
CAP_MKNOD = 27
NEW_NAMESPACES = (
    sys_.CLONE_NEWUSER, sys_.CLONE_NEWNS, sys_.CLONE_NEWPID, sys_.CLONE_NEWNET, sys_.CLONE_NEWIPC,
    sys_.CLONE_NEWUTS, sys_.CLONE_NEWCGROUP,
)  # fmt: skip
# Name of the call, which argument (None: whatever they are), mask, value, answer.
Rule = tuple[str, "int | None", int, int, int]


def number_of(call: str) -> int:
    return NUMBERS[os.uname().machine][call]


def filtered(*rules: Rule) -> None:
    """Put this process under a filter that answers the first rule that fits, and else allows."""
    code = []
    for call, argument, mask, value, answer in rules:
        test = []
        if argument is not None:
            test = [
                (_LOAD, 0, 0, FIRST_ARGUMENT + 8 * argument),
                (_AND, 0, 0, mask),
                (_EQUAL, 0, 1, value),
            ]
        code += [
            (_LOAD, 0, 0, 0),
            (_EQUAL, 0, len(test) + 1, number_of(call)),
            *test,
            (_RETURN, 0, 0, answer),
        ]
    code.append((_RETURN, 0, 0, ALLOW))
    install(b"".join(struct.pack("<HBBI", *each) for each in code))


def refused(*calls: str, number: int = errno.EPERM) -> None:
    filtered(*((call, None, 0, 0, ERRNO | number) for call in calls))


def with_mounts_of_its_own() -> None:
    sys_.unshare(sys_.CLONE_NEWNS)
    sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)


def read_only(path: str) -> None:
    sys_.mount(path, path, "none", MS_BIND | sys_.MS_REC)
    sys_.mount("none", path, "none", MS_BIND | MS_REMOUNT | MS_RDONLY)


def restrict_namespaces(_: Path) -> None:
    filtered(
        *(
            (call, 0, flag, flag, ERRNO | errno.EPERM)
            for call in ("unshare", "clone")
            for flag in NEW_NAMESPACES
        ),
        ("clone3", None, 0, 0, ERRNO | errno.ENOSYS),
    )


def restrict_suid_sgid(_: Path) -> None:
    bits = [(stat.S_ISUID, ERRNO | errno.EPERM), (stat.S_ISGID, ERRNO | errno.EPERM)]
    filtered(
        *(("fchmod", 1, bit, bit, answer) for bit, answer in bits),
        *(("fchmodat", 2, bit, bit, answer) for bit, answer in bits),
        ("openat2", None, 0, 0, ERRNO | errno.ENOSYS),
    )


def restrict_address_families(_: Path) -> None:
    filtered(
        *(
            ("socket", 0, 0xFFFFFFFF, family, ERRNO | errno.EAFNOSUPPORT)
            for family in (socket.AF_INET, socket.AF_INET6)
        )
    )


def deny_write_execute(_: Path) -> None:
    both = mmap.PROT_WRITE | mmap.PROT_EXEC
    filtered(("mmap", 2, both, both, ERRNO | errno.EPERM))


def bounding_set(*missing: int) -> None:
    sys_.drop_bounding_set([each for each in range(LAST_CAPABILITY + 1) if each not in missing])


def private_users(_: Path) -> None:
    sys_.enter_user_namespace()


def private_network(_: Path) -> None:
    sys_.unshare(sys_.CLONE_NEWNET)
    worker_sys.loopback_up()


def proc_subset(_: Path) -> None:
    with_mounts_of_its_own()
    sys_.mount("proc", "/proc", "proc", sys_.MS_NOSUID, "subset=pid")


def read_only_paths(data_dir: Path) -> None:
    with_mounts_of_its_own()
    read_only(str(data_dir))


def protect_kernel(_: Path) -> None:
    """ProtectKernelTunables=, ProtectKernelLogs= and ProtectProc=, as they cover /proc."""
    with_mounts_of_its_own()
    sys_.mount("proc", "/proc", "proc", sys_.MS_NOSUID, "hidepid=invisible")
    read_only("/proc/sys")
    sys_.mount("/dev/null", "/proc/kmsg", "none", MS_BIND)


def limit(which: int, value: int) -> None:
    resource.setrlimit(which, (value, value))


def kept_hardening(folder: Path) -> None:
    """Of the unit that we ship, what the kernel or a filter enforces."""
    protect_kernel(folder)
    keeps = (0, 1, 5, 6, 7, 8, 10, 21, 24, 27, 31)
    sys_.drop_bounding_set(keeps)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    restrict_suid_sgid(folder)
    refused("clock_settime", "settimeofday", "swapon", "reboot", "init_module", "delete_module", "iopl")


RESTRICTIONS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "RestrictNamespaces": restrict_namespaces,
    "SystemCallFilter that kills": lambda _: filtered(("keyctl", None, 0, 0, KILL_PROCESS)),
    "SystemCallFilter without @sandbox": lambda _: refused("landlock_create_ruleset"),
    "SystemCallFilter without @keyring": lambda _: refused("keyctl", "add_key", "request_key"),
    "SystemCallFilter without @process": lambda _: refused("clone", "clone3", "fork", "vfork"),
    "SystemCallFilter without @resources": lambda _: refused("setpriority", "sched_setaffinity"),
    "SystemCallFilter without @mount": lambda _: refused("mount", "fsopen", "open_tree", "move_mount"),
    "ProtectHostname": lambda _: refused("sethostname"),
    "no CAP_KILL": lambda _: bounding_set(sys_.CAP_KILL),
    "CapabilityBoundingSet": lambda _: bounding_set(sys_.CAP_KILL, sys_.CAP_SETUID),
    "PrivateUsers": private_users,
    "PrivateDevices": lambda _: bounding_set(CAP_MKNOD),
    "ProcSubset": proc_subset,
    "ReadOnlyPaths": read_only_paths,
    "RestrictAddressFamilies": restrict_address_families,
    "PrivateNetwork": private_network,
    "MemoryDenyWriteExecute": deny_write_execute,
    "LimitNPROC": lambda _: limit(resource.RLIMIT_NPROC, 20),
    "LimitCORE": lambda _: limit(resource.RLIMIT_CORE, 0),
    "LimitAS": lambda _: limit(resource.RLIMIT_AS, 1 << 30),
    "LimitDATA": lambda _: limit(resource.RLIMIT_DATA, 1 << 30),
    "LimitFSIZE": lambda _: limit(resource.RLIMIT_FSIZE, 1 << 20),
    "LimitCPU": lambda _: limit(resource.RLIMIT_CPU, 3600),
    "what is in no table": lambda _: refused("pivot_root"),
    "what our unit keeps": kept_hardening,
}


# Who has executed nothing since keeps what the bounding set took.
NEEDS_EXEC = (
    "CapabilityBoundingSet", "no CAP_KILL", "PrivateDevices", "what our unit keeps",
)  # fmt: skip
PRINTS = "from tests.support.restricted import tell; tell()"


def tell() -> None:
    """Print what ``cellblock check`` finds of a server whose data directory is the last argument."""
    lines, is_stopped = restrictions.found(Settings(data_dir=Path(sys.argv[-1])))
    print(json.dumps([is_stopped, {line.what: [line.status, line.found, line.remedy] for line in lines}]))
    sys.stdout.flush()


def tell_all(folder: Path) -> None:
    """A line for each restriction in the order of RESTRICTIONS, each made in a process of its own."""
    for name, restrict in RESTRICTIONS.items():
        pid = os.fork()
        if pid == 0:
            restrict(folder)
            if name in NEEDS_EXEC:
                os.execv(sys.executable, [sys.executable, "-c", PRINTS, str(folder)])
            tell()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0, name


def main() -> None:
    """Restrict this process for good, then become the program; or try all restrictions, ``all FOLDER``."""
    if sys.argv[1] == "all":
        tell_all(Path(sys.argv[2]))
        return
    name, folder, dashes, *command = sys.argv[1:]
    assert dashes == "--"
    RESTRICTIONS[name](Path(folder))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
