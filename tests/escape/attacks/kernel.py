"""B. /proc, /sys, kernel knobs."""

from __future__ import annotations

from tests.escape.attack import Attack

ATTACKS = [
    Attack(
        19,
        "open the core pattern for writing",
        'found = opens_to_write("/proc/sys/kernel/core_pattern")',
        stopped=("ENOENT",),
        layers=("proc",),
        # With the whole of /proc it is the outer user id that stops it: never 0.
        succeeds=("EACCES",),
        no_control="its control opens a knob of the host as root: in a virtual machine only",
    ),
    Attack(
        20,
        "open every kernel setting for writing",
        """
found = sorted({opens_to_write(os.path.join(folder, name))
                for folder, _, names in os.walk("/proc/sys") for name in names})
""",
        stopped=([],),
        layers=("proc",),
        also_without=("ll", "knob"),
        # Its own namespaces' knobs are its inner root's, and the tenant is not that.
        succeeds=(["EACCES"], ["EACCES", "EPERM"], ["EACCES", "ok"]),
    ),
    Attack(
        21,
        "read what /proc tells of the kernel",
        """
names = ("sysrq-trigger", "kcore", "kallsyms", "keys", "timer_list", "interrupts", "modules", "meminfo", "cmdline")
found = sorted({tried(lambda: os.close(os.open("/proc/" + name, os.O_RDONLY))) for name in names})
""",
        stopped=(["ENOENT"],),
        layers=("proc",),
        succeeds=(
            ["EACCES", "ENOENT", "ok"],
            ["EACCES", "ok"],
            ["ENOENT", "ok"],
            ["ok"],
            ["EACCES", "EPERM", "ok"],
        ),
    ),
    Attack(
        22,
        "look into sysfs",
        'found = [tried(lambda: (os.listdir(path), None)[1]) for path in ("/sys", "/sys/fs/cgroup", "/sys/kernel")]',
        stopped=(["ENOENT", "ENOENT", "ENOENT"],),
        layers=("mnt",),
        succeeds=(["ok", "ok", "ok"],),
    ),
    Attack(
        22,
        "look into debugfs and bpffs",
        """
found = sorted({tried(lambda: (os.listdir(path), None)[1])
                for path in ("/sys/kernel/debug", "/sys/kernel/tracing", "/sys/fs/bpf")})
""",
        stopped=(["ENOENT"],),
        layers=("mnt",),
        # There; whether it may be listed is a question of the host's.
        succeeds=(
            ["EACCES"],
            ["EACCES", "ENOENT"],
            ["EACCES", "ok"],
            ["EACCES", "ENOENT", "ok"],
            ["ok"],
            ["ENOENT", "ok"],
        ),
    ),
    Attack(
        23,
        "read the server's environment and memory map",
        'found = [reads(f"/proc/{SERVER}/{name}") for name in ("environ", "cmdline", "maps")]',
        stopped=(["ENOENT", "ENOENT", "ENOENT"],),
        layers=("pid",),
        # Seen, and still not to be read: the server is not dumpable, and somebody else's.
        succeeds=(["EACCES", "SHOWN", "EACCES"], ["EACCES", "SHOWN", "EPERM"]),
    ),
    Attack(
        23,
        "find other processes",
        'found = SERVER in [int(name) for name in os.listdir("/proc") if name.isdigit()]',
        stopped=(False,),
        layers=("pid",),
        succeeds=(True,),
    ),
    Attack(
        23,
        "read the environment and memory of its own pid 1",
        'found = [reads("/proc/1/" + name) for name in ("environ", "maps", "mem")]',
        stopped=(["EACCES", "EACCES", "EACCES"], ["ENOENT", "ENOENT", "ENOENT"]),
        layers=(),
        succeeds=(),
        no_control="pid 1 is ours and not dumpable; without that it would be another program",
    ),
    Attack(
        24,
        "make itself the last to be killed for memory",
        """
def lower():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
found = tried(lower)
""",
        stopped=("EACCES",),
        layers=("cap",),
        # Inner 0 may open it; what is below the score that it was given asks for the host's capability.
        also_without=("ll", "sec"),
        succeeds=("EACCES", "ok", "EPERM"),
        no_control="a lower score asks for a capability of the host's user namespace",
    ),
    Attack(
        25,
        "leave a core file",
        """
import resource
found = [resource.getrlimit(resource.RLIMIT_CORE), in_child(lambda: os.abort())]
found[0] = list(found[0])
""",
        stopped=([[1, 1], "SIGABRT"],),
        layers=("rl",),
        succeeds=([[1, 1], "SIGABRT"], [[0, 0], "SIGABRT"]),
        no_control="the launcher sets the same limit before: two of one kind",
    ),
    Attack(
        25,
        "raise the limit of core files",
        """
import resource
found = tried(lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
""",
        stopped=("ValueError",),
        layers=("cap",),
        also_without=("sec",),
        # Raising a hard limit asks for a capability of the host's user namespace.
        succeeds=("ValueError",),
        no_control="CAP_SYS_RESOURCE is asked of the host's user namespace",
    ),
    Attack(
        26,
        "change its own cgroup",
        """
found = sorted({opens_to_write(path) for path in (
    "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/pids/cgroup.procs")})
""",
        stopped=(["ENOENT"],),
        layers=("mnt",),
        succeeds=(
            ["EACCES", "ENOENT"],
            ["ENOENT", "EROFS"],
            ["EACCES"],
            ["EROFS"],
            ["EACCES", "ENOENT", "EROFS"],
        ),
    ),
    Attack(
        26,
        "mount the cgroup file system",
        'found = in_child(lambda: raw(165 if IS_X86 else 40, b"none", b"/tmp", b"cgroup2", 0, None))',
        stopped=("EPERM",),
        layers=("sec", "cap"),
        also_without=("ll",),
        # No such hierarchy to mount, which is looked for after the right to.
        succeeds=("ok", "EBUSY", "ENOENT"),
    ),
]
