"""C. Namespaces, capabilities, ids, other processes."""

from __future__ import annotations

from tests.escape.attack import Attack

NAMESPACES = {
    "user": 0x10000000, "mnt": 0x00020000, "pid": 0x20000000, "net": 0x40000000, "uts": 0x04000000,
    "ipc": 0x08000000, "cgroup": 0x02000000,
}  # fmt: skip

ATTACKS = [
    *(
        Attack(
            27,
            f"unshare a {kind} namespace",
            f"found = in_child(lambda: sys_(272, 97, {flag}))",
            stopped=("EPERM",),
            layers=("sec", "knob"),
            also_without=() if kind == "user" else ("cap",),
            stopped_by_one=("EPERM", "ENOSPC", "EUSERS"),
            succeeds=("ok",),
        )
        for kind, flag in NAMESPACES.items()
    ),
    *(
        Attack(
            27,
            f"clone with a {kind} namespace",
            f"""
def clone():
    pid = libc.syscall(ctypes.c_long(56 if IS_X86 else 220), ctypes.c_long({flag} | 17), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
        return "ok"
    return name_of(ctypes.get_errno())
found = in_child(clone)
""",
            stopped=("EPERM",),
            layers=("sec", "knob"),
            stopped_by_one=("EPERM", "ENOSPC", "EUSERS"),
            also_without=() if kind == "user" else ("cap",),
            succeeds=("ok",),
        )
        for kind, flag in NAMESPACES.items()
        if kind in ("user", "net", "pid")
    ),
    Attack(
        27,
        "clone by the newer call",
        "found = sys_(435, 435, None, 0)",
        stopped=("ENOSYS",),
        layers=("sec",),
        succeeds=("EINVAL",),
    ),
    Attack(
        28,
        "nest a user namespace with the filter off",
        "found = in_child(lambda: sys_(272, 97, 0x10000000))",
        stopped=("EPERM",),
        layers=("knob",),
        also_without=("sec",),
        stopped_by_one=("ENOSPC", "EUSERS"),
        succeeds=("ok",),
    ),
    *(
        Attack(
            29,
            name,
            code,
            stopped=stopped,
            layers=("sec", "cap"),
            stopped_by_one=("EPERM", "EINVAL", "ValueError"),
            succeeds=succeeds,
        )
        for name, code, stopped, succeeds in (
            ("become inner root", "found = in_child(lambda: os.setuid(0))", ("EPERM",), ("ok",)),
            (
                "become inner root by all three ids",
                "found = in_child(lambda: os.setresuid(0, 0, 0))",
                ("EPERM",),
                ("ok",),
            ),
            ("change its groups", "found = in_child(lambda: os.setgid(0))", ("EPERM",), ("ok",)),
            (
                "keep capabilities over a change of ids",
                "found = in_child(lambda: sys_(157, 167, 8, 1, 0, 0, 0))",
                ("EPERM",),
                ("ok",),
            ),
            (
                "change the secure bits",
                "found = in_child(lambda: sys_(157, 167, 28, 0, 0, 0, 0))",
                ("EPERM",),
                ("ok",),
            ),
        )
    ),
    Attack(
        29,
        "raise an ambient capability",
        """
import struct
def raise_it():
    sys_(126, 91, struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", 1 << 21, 1 << 21, 1 << 21, 0, 0, 0))
    return sys_(157, 167, 47, 2, 21, 0, 0)
found = in_child(raise_it)
""",
        stopped=("EPERM",),
        layers=("sec", "cap"),
        succeeds=("ok",),
    ),
    Attack(
        29,
        "set capabilities",
        """
import struct
header = struct.pack("=Ii", 0x20080522, 0)
found = in_child(lambda: sys_(126, 91, header, struct.pack("=6I", 1 << 21, 1 << 21, 0, 0, 0, 0)))
""",
        stopped=("EPERM",),
        layers=("sec", "cap"),
        succeeds=("ok",),
    ),
    *(
        Attack(
            30,
            name,
            f"found = in_child(lambda: sys_({x86}, {arm}, {arguments}))",
            stopped=stopped,
            layers=("sec",),
            also_without=("cap",),
            succeeds=succeeds,
        )
        for name, x86, arm, arguments, stopped, succeeds in (
            ("set the host name", 170, 161, "b'canary', 1 << 20", ("EPERM",), ("EINVAL",)),
            ("adjust the clock", 159, 171, "None", ("EPERM",), ("EFAULT",)),
            ("swap to a file of its own", 167, 224, "None, 0", ("EPERM",), ("EPERM",)),
            ("reboot with the wrong magic", 169, 142, "0, 0, 0, None", ("EPERM",), ("EINVAL", "EPERM")),
            ("account processes", 163, 89, "None", ("EPERM",), ("EPERM",)),
        )
        if succeeds != ("EPERM",)
    ),
    *(
        Attack(
            30,
            name,
            f"found = in_child(lambda: sys_({x86}, {arm}, {arguments}))",
            stopped=("SIGSYS",),
            layers=("sec",),
            succeeds=("EPERM", "EFAULT", "EINVAL", "ENOSYS", "EBADF", "ENOENT"),
        )
        for name, x86, arm, arguments in (
            ("load another kernel", 246, 104, "0, 0, None, 0"),
            ("load a kernel module", 175, 105, "None, 0, None"),
            ("load a kernel module from a file", 313, 273, "-1, None, 0"),
            ("unload a kernel module", 176, 106, "None, 0"),
        )
    ),
    *(
        Attack(
            31,
            name,
            f"found = in_child(lambda: sys_({x86}, {arm}, {arguments}))",
            stopped=("SIGSYS",),
            layers=("sec",),
            succeeds=("EPERM", "EFAULT", "EINVAL", "ESRCH", "ok", "EBADF", "EIO"),
        )
        for name, x86, arm, arguments in (
            ("be traced", 101, 117, "0, 0, None, None"),
            ("trace its pid 1", 101, 117, "16, 1, None, None"),
            ("read another's memory", 310, 270, "1, None, 0, None, 0, 0"),
            ("write another's memory", 311, 271, "1, None, 0, None, 0, 0"),
        )
    ),
    *(
        Attack(
            31,
            name,
            f"found = in_child(lambda: sys_({x86}, {arm}, {arguments}))",
            stopped=("EPERM",),
            layers=("sec",),
            succeeds=("EBADF", "EINVAL", "ESRCH", "ok"),
        )
        for name, x86, arm, arguments in (
            ("take a descriptor of another process", 438, 438, "-1, 0, 0"),
            ("compare itself with another process", 312, 272, "os.getpid(), os.getpid(), 0, 0, 0"),
        )
    ),
    Attack(
        32,
        "signal the server",
        "found = tried(lambda: os.kill(SERVER, 0))",
        stopped=("ESRCH",),
        layers=("pid",),
        also_without=("ll",),
        # Found, and another user's.
        succeeds=("EPERM",),
        tiers=("A",),
    ),
    Attack(
        32,
        "signal every process that it can",
        """
def signal_all():
    found = []
    for pid in range(1, 400):
        if pid not in (os.getpid(), os.getppid()) and tried(lambda: os.kill(pid, 0)) == "ok":
            found.append(pid)
    return len(found)
found = in_child(signal_all)
""",
        # Its own pid 1 is another user in A; in A-user it is the same and ignores what has no handler.
        stopped=("0", "1"),
        layers=("pid",),
        also_without=("ll",),
        succeeds=("0",),
        no_control="without the pid namespace the others are other users': see the server above",
    ),
    Attack(
        32,
        "kill its own pid 1",
        'tried(lambda: os.kill(1, 9))\nfound = [os.getppid(), os.path.exists("/proc/self")]',
        stopped=([1, True],),
        layers=(),
        succeeds=(),
        no_control="the kernel delivers no such signal to pid 1 from below",
    ),
    Attack(
        33,
        "change the limits of another process",
        "found = sorted({in_child(lambda: sys_(302, 261, pid, 7, None, None)) for pid in (1, SERVER)})",
        stopped=(["EPERM"],),
        layers=("sec",),
        succeeds=(["EPERM", "ESRCH"], ["ESRCH", "ok"]),
    ),
    Attack(
        33,
        "change the priority of another process",
        "found = in_child(lambda: os.setpriority(os.PRIO_PROCESS, 1, 5))",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("EPERM", "ok", "EACCES"),
        no_control="the kernel gives the same errno for another user's process",
    ),
    Attack(
        34,
        "have signals sent to another process",
        """
import fcntl
read, write = os.pipe()
found = tried(lambda: (fcntl.fcntl(read, fcntl.F_SETOWN, 1), None)[1])
""",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("ok",),
    ),
    Attack(
        34,
        "choose the signal of a descriptor",
        """
import fcntl
read, write = os.pipe()
found = tried(lambda: (fcntl.fcntl(read, 10, 9), None)[1])
""",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("ok",),
    ),
]
