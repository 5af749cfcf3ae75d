"""D. Evading the filter."""

from __future__ import annotations

from tests.escape.attack import Attack

# getpid() through the 32-bit gate, from a page of our own.
INT_80 = r"""
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
def call():
    return "ok" if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else "refused"
found = in_child(call)
"""

REFUSED = {
    # name: (number of the catalogue, x86-64, arm64, arguments, answer, answers without the filter)
    "set up io_uring": (38, 425, 425, "0, None", "ENOSYS", ("EFAULT", "EINVAL", "EPERM")),
    "enter io_uring": (38, 426, 426, "-1, 0, 0, 0, None, 0", "ENOSYS", ("EBADF", "EINVAL", "EOPNOTSUPP")),
    "register with io_uring": (38, 427, 427, "-1, 0, None, 0", "ENOSYS", ("EBADF", "EINVAL", "EOPNOTSUPP")),
    "set up Linux AIO": (38, 206, 0, "0, None", "EPERM", ("EFAULT", "EINVAL")),
    "add a filter of its own": (39, 317, 277, "1, 0, None", "EPERM", ("EFAULT",)),
    "listen to a filter of its own": (39, 317, 277, "1, 8, None", "EPERM", ("EFAULT",)),
    "set seccomp by prctl": (39, 157, 167, "22, 2, None, 0, 0", "EPERM", ("EFAULT",)),
    "switch off address randomness": (41, 135, 92, "0x0040000", "EPERM", ("ok",)),
    "make reading imply executing": (41, 135, 92, "0x0400000", "EPERM", ("ok",)),
    "make secret memory": (42, 447, 447, "0xffff", "EPERM", ("EINVAL", "ENOSYS")),
    "make a file in memory": (43, 319, 279, "None, 0", "ENOSYS", ("EFAULT",)),
    "execute a descriptor": (
        43,
        322,
        281,
        "-1, b'', None, None, 0x1000",
        "EPERM",
        ("EBADF", "EFAULT", "ENOENT"),
    ),
    "splice": (44, 275, 76, "-1, None, -1, None, 1, 0", "EPERM", ("EBADF",)),
    "vmsplice": (44, 278, 75, "-1, None, 1, 0", "EPERM", ("EBADF",)),
    "tee": (44, 276, 77, "-1, -1, 1, 0", "EPERM", ("EBADF",)),
    "look whether pages are cached": (53, 27, 232, "1, 1, None", "EPERM", ("EINVAL",)),
    "look whether a file is cached": (
        53,
        451,
        451,
        "-1, None, None, 0",
        "EPERM",
        ("EBADF", "EFAULT", "ENOSYS"),
    ),
    "read without waiting": (53, 327, 286, "-1, None, 0, 0, 0, 8", "EPERM", ("EBADF",)),
    "open a POSIX message queue": (48, 240, 180, "b'canary', 0, 0, None", "EPERM", ("ENOENT", "EACCES")),
    "add a key": (49, 248, 217, "b'user', b'canary', b'x', 1, -3", "EPERM", ("ok", "EDQUOT")),
    "request a key": (49, 249, 218, "b'user', b'canary', None, 0", "EPERM", ("ENOKEY", "ok")),
    "use keyctl": (49, 250, 219, "-1", "EPERM", ("EOPNOTSUPP", "ENOTSUP")),
    "watch files by inotify": (51, 294, 26, "0", "EPERM", ("ok", "EMFILE")),
    "make a timer that sends any signal": (34, 222, 107, "1, None, None", "EPERM", ("EFAULT", "ok")),
    "set a timer that sends any signal": (34, 223, 110, "1, 0, None, None", "EPERM", ("EINVAL",)),
    "ask how often a timer has sent its signal": (34, 225, 109, "1", "EPERM", ("EINVAL",)),
    "have a pipe send SIGCONT": (34, 72, 25, "4, 10, 18", "EPERM", ("ok",)),
    "own the signals of a pipe": (34, 72, 25, "4, 8, 0", "EPERM", ("ok",)),
    "send urgent data by sendto": (101, 44, 206, "-1, None, 0, 1, None, 0", "EPERM", ("EBADF",)),
    "send urgent data past a 64-bit comparison": (
        101,
        44,
        206,
        "-1, None, 0, 0x100000001, None, 0",
        "EPERM",
        ("EBADF",),
    ),
    "send urgent data by sendmsg": (101, 46, 211, "-1, None, 1", "EPERM", ("EBADF",)),
    "send urgent data by sendmmsg": (101, 307, 269, "-1, None, 0, 1", "EPERM", ("EBADF",)),
    "receive urgent data by recvfrom": (101, 45, 207, "-1, None, 0, 1, None, None", "EPERM", ("EBADF",)),
    "receive urgent data by recvmsg": (101, 47, 212, "-1, None, 1", "EPERM", ("EBADF",)),
    "receive urgent data by recvmmsg": (101, 299, 243, "-1, None, 0, 1, None", "EPERM", ("EBADF",)),
    "ask for a quota": (
        45,
        179,
        60,
        "-1, None, 0, None",
        "EPERM",
        ("EINVAL", "ENOSYS", "EBADF", "ENODEV", "ENOTBLK"),
    ),
    "open a file with more rules": (45, 437, 437, "-100, b'/tmp', None, 0", "ENOSYS", ("EINVAL", "EFAULT")),
}

KILLED = {
    "write a BPF program": (321, 280, "0, None, 0"),
    "count performance events": (298, 241, "None, 0, -1, -1, 0"),
    "handle page faults": (323, 282, "0xffff"),
}

ATTACKS = [
    Attack(
        35,
        "call by an x32 number",
        "found = in_child(lambda: raw(0x40000000 | 39)) if IS_X86 else 'SIGSYS'",
        stopped=("SIGSYS",),
        layers=("sec",),
        succeeds=("ENOSYS", "ok", "SIGSYS"),
        no_control="most kernels have no x32: ENOSYS, or a pid",
    ),
    Attack(
        36,
        "call by the 32-bit gate",
        f"if IS_X86:\n    exec({INT_80!r}, globals())\nelse:\n    found = 'SIGSYS'",
        stopped=("SIGSYS",),
        layers=("sec",),
        succeeds=("ok",),
    ),
    *(
        Attack(
            37,
            name,
            f"""
import fcntl
def inject():
    master, slave = os.openpty() if os.path.exists("/dev/ptmx") else (None, 0)
    return raw(16 if IS_X86 else 29, slave, {request}, b"c")
found = in_child(inject)
""",
            stopped=("EPERM", "ENOTTY"),
            layers=("sec",),
            # There is no terminal in a cell: the second layer, which answers for itself.
            succeeds=("ENOTTY",),
            no_control="a cell has no terminal and no way to make one",
        )
        for name, request in (
            ("inject into the terminal", "0x5412"),
            ("inject into the terminal past a 64-bit comparison", "0x100005412"),
            ("paste into the console", "0x541c"),
            ("change the line discipline", "0x5423"),
        )
    ),
    *(
        Attack(
            number,
            name,
            f"found = in_child(lambda: sys_({x86}, {arm}, {arguments}))",
            stopped=(answer,),
            layers=("sec",),
            succeeds=without,
        )
        for name, (number, x86, arm, arguments, answer, without) in REFUSED.items()
    ),
    Attack(
        101,
        "pass urgent data through a pair of Unix sockets",
        """
ours, theirs = socket.socketpair()
found = tried(lambda: ours.send(b"x", socket.MSG_OOB) and None)
""",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("ok", "EOPNOTSUPP"),
    ),
    *(
        Attack(
            48,
            name,
            f"found = made({get}, {control}, {arguments})",
            stopped=("EPERM",),
            layers=("sec",),
            succeeds=("ok",),
        )
        for name, get, control, arguments in (
            ("make shared memory of System V", (29, 194), (31, 195), "0, 4096, 0o1600"),
            ("make a message queue of System V", (68, 186), (71, 187), "0, 0o1600"),
            ("make semaphores of System V", (64, 190), (66, 191), "0, 1, 0o1600"),
        )
    ),
    *(
        Attack(
            42,
            name,
            f"found = in_child(lambda: sys_({x86}, {arm}, {arguments}))",
            stopped=("SIGSYS",),
            layers=("sec",),
            succeeds=("EFAULT", "EINVAL", "EPERM", "EACCES", "E2BIG"),
        )
        for name, (x86, arm, arguments) in KILLED.items()
    ),
    Attack(
        40,
        "leave a thread outside the filter",
        """
status = [open(f"/proc/self/task/{task}/status").read() for task in os.listdir("/proc/self/task")]
found = sorted({line.split()[1] for text in status for line in text.splitlines() if line.startswith("Seccomp:")})
""",
        stopped=(["2"],),
        layers=("sec",),
        succeeds=(["0"],),
    ),
    Attack(
        43,
        "execute a file made in memory",
        """
import subprocess
def run():
    descriptor = os.memfd_create("canary", 0)
    os.write(descriptor, b"#!/bin/sh\\nexit 7\\n")
    return subprocess.run([f"/proc/self/fd/{descriptor}"], pass_fds=[descriptor], close_fds=True).returncode
found = tried(run)
""",
        stopped=("ENOSYS",),
        layers=("sec", "memfd"),
        also_without=("ll",),
        stopped_by_one=("ENOSYS", "EACCES"),
        succeeds=(7,),
        tiers=("A",),
    ),
    Attack(
        45,
        "call every number that the kernel might know next",
        "found = sorted({in_child(lambda: raw(number)) for number in range(470, 601, 13)})",
        stopped=(["ENOSYS"],),
        layers=(),
        succeeds=(),
        no_control="the kernel's own answer is the same: that the filter gives it is in tests/unit/seccomp",
    ),
]
