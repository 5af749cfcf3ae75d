"""A. Files and mounts."""

from __future__ import annotations

from tests.escape.attack import Attack

ATTACKS = [
    Attack(
        1,
        "read a file of the host",
        "found = reads(FILE)",
        stopped=("ENOENT",),
        layers=("mnt",),
        succeeds=("TOKEN",),
        leaks=True,
    ),
    Attack(
        1,
        "read the passwords of the host",
        "found = [tried(lambda: os.close(os.open(path, os.O_RDONLY))) for path in ('/etc/shadow', '/etc/profile')]",
        stopped=(["ENOENT", "ENOENT"],),
        layers=("mnt",),
        # Seen, and still another user's.
        succeeds=(["EACCES", "ok"],),
    ),
    Attack(
        2,
        "read through the root links of processes",
        """
found = sorted({reads(f"/proc/{pid}/root{FILE}") for pid in ("1", "self", "thread-self")}
               | {reads("/proc/self/cwd/../../../../.." + FILE)})
""",
        # pid 1 is another user of the cell and not to be traced, or hidden altogether.
        stopped=(["EACCES", "ENOENT"], ["ENOENT"]),
        layers=("mnt",),
        succeeds=(["EACCES", "TOKEN"], ["ENOENT", "TOKEN"]),
        leaks=True,
    ),
    Attack(
        3,
        "walk up from every folder and descriptor",
        """
seen = set()
for start in ("/function", "/tmp", "/dev/shm", "/proc/self"):
    descriptor = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchdir(descriptor)
        for _ in range(40):
            os.chdir("..")
        seen.add(reads("." + FILE))
    finally:
        os.close(descriptor)
for descriptor in range(100):
    seen.add(tried(lambda: os.close(os.open("../../../../.." + FILE, os.O_RDONLY, dir_fd=descriptor))))
os.chdir("/function")
found = sorted(seen - {"EBADF", "ENOTDIR"})
""",
        stopped=(["ENOENT"],),
        layers=("mnt",),
        succeeds=(["ENOENT", "TOKEN", "ok"], ["TOKEN", "ok"], ["ENOENT", "TOKEN"], ["TOKEN"]),
        leaks=True,
    ),
    Attack(
        3,
        "use a folder of the host that was left open",
        """
left = [number for number in range(3, 1024) if tried(lambda: os.fstat(number) and None) == "ok"]
found = sorted({tried(lambda: os.read(os.open("." + FILE, os.O_RDONLY, dir_fd=number), 99).decode())
                for number in left})
""",
        stopped=(["ENOTDIR"],),
        layers=("fd",),
        succeeds=(["ENOTDIR", "TOKEN"],),
        also_without=("ll",),
        leaks=True,
    ),
    Attack(
        4,
        "escape by chroot twice",
        """
def escape():
    os.makedirs("/tmp/jail", exist_ok=True)
    inside = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/jail")
    os.fchdir(inside)
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
found = in_child(escape)
""",
        stopped=("EPERM",),
        layers=("sec", "cap"),
        succeeds=("ok",),
    ),
    Attack(
        5,
        "write to the system's folders",
        """
found = sorted({tried(lambda: os.close(os.open(folder + "/canary", os.O_CREAT | os.O_WRONLY)))
                for folder in ("/usr", "/usr/lib", "/usr/bin", "/etc", "/opt", "/")})
""",
        stopped=(["EROFS"],),
        layers=(),
        succeeds=(),
        no_control="a control would have to write to the host's own folders; 16 has one on a copy",
    ),
    Attack(
        5,
        "write to its own bundle",
        """
found = [tried(lambda: os.close(os.open("/function/new", os.O_CREAT | os.O_WRONLY))),
         opens_to_write("/function/handler.py")]
""",
        stopped=(["EROFS", "EACCES"], ["EROFS", "EROFS"]),
        layers=(),
        succeeds=(),
        no_control="it belongs to another user besides; 16 has a control on files of the tenant's own",
    ),
    Attack(
        6,
        "mount a tmpfs",
        'found = in_child(lambda: raw(165 if IS_X86 else 40, b"none", b"/tmp", b"tmpfs", 0, None))',
        stopped=("EPERM",),
        layers=("sec", "cap"),
        succeeds=("ok",),
        also_without=("ll",),  # which refuses mounts as well
    ),
    Attack(
        6,
        "mount a tmpfs under landlock alone",
        'found = in_child(lambda: raw(165 if IS_X86 else 40, b"none", b"/tmp", b"tmpfs", 0, None))',
        stopped=("EPERM",),
        layers=("ll",),
        also_without=("sec", "cap"),
        succeeds=("ok",),
    ),
    Attack(
        6,
        "remount a read-only folder to be written",
        'found = in_child(lambda: raw(165 if IS_X86 else 40, None, b"/function", None, 32 | 4096, None))',
        stopped=("EPERM",),
        layers=("sec", "cap"),
        also_without=("ll",),
        # Locked: what came read-only from another user namespace stays so, even for its inner root.
        succeeds=("EPERM", "ok", "EINVAL"),
        no_control="the kernel locks the flag besides; see decisions",
    ),
    Attack(
        6,
        "unmount what covers the host",
        'found = in_child(lambda: raw(166 if IS_X86 else 39, b"/tmp", 2))',
        stopped=("EPERM",),
        layers=("sec", "cap"),
        also_without=("ll",),
        succeeds=("ok",),
    ),
    Attack(
        6,
        "use the mount calls of later kernels",
        """
found = sorted({in_child(lambda: raw(number, *arguments)) for number, arguments in (
    (428, (-100, b"/tmp", 1)), (430, (b"tmpfs", 0)), (429, (-1, b"", -100, b"/tmp", 4)),
    (442, (-100, b"/tmp", 0, bytes(32), 32)))})
""",
        stopped=(["EPERM"],),
        layers=("sec", "cap"),
        also_without=("ll",),
        succeeds=(["EBADF", "ok"], ["EBADF", "ENOSPC", "ok"]),
    ),
    Attack(
        7,
        "change the root",
        'found = in_child(lambda: raw(155 if IS_X86 else 41, b"/tmp", b"/tmp"))',
        stopped=("EPERM",),
        layers=("sec", "cap"),
        also_without=("ll",),
        succeeds=("ok", "EINVAL", "EBUSY"),  # allowed, or looked at and found not to be a mount of its own
    ),
    Attack(
        7,
        "enter a namespace by its file",
        """
def enter(kind):
    descriptor = os.open("/proc/self/ns/" + kind, os.O_RDONLY)
    try:
        return raw(308 if IS_X86 else 268, descriptor, 0)
    finally:
        os.close(descriptor)
found = sorted({in_child(lambda: enter(kind)) for kind in ("net", "ipc", "uts", "cgroup")})
""",
        stopped=(["EPERM"],),
        layers=("sec", "cap"),
        succeeds=(["ok"],),
    ),
    Attack(
        8,
        "name a file by its handle",
        """
handle_ = ctypes.create_string_buffer(b"\\x80" + bytes(135), 136)
mount_id = ctypes.c_int()
found = in_child(lambda: raw(303 if IS_X86 else 264, -100, b"/usr", handle_, ctypes.byref(mount_id), 0))
""",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("ok", "EOPNOTSUPP"),
    ),
    Attack(
        8,
        "open a file by its handle",
        "found = in_child(lambda: raw(304 if IS_X86 else 265, -1, bytes(136), 0))",
        stopped=("SIGSYS",),
        layers=("sec",),
        # The capability it asks for is the host's, which no cell ever has.
        succeeds=("EPERM", "EBADF", "EINVAL"),
        no_control="CAP_DAC_READ_SEARCH is asked of the host's user namespace",
    ),
    Attack(
        9,
        "make a device",
        """
found = [tried(lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0))),
         tried(lambda: os.mknod("/tmp/memory", 0o20666, os.makedev(1, 1)))]
""",
        stopped=(["EPERM", "EPERM"],),
        layers=("sec",),
        # Without the filter it is the kernel that asks for the host's own capability.
        succeeds=(["EPERM", "EPERM"], ["EACCES", "EACCES"]),
        no_control="mknod of devices asks for a capability of the host's user namespace",
    ),
    Attack(
        9,
        "find another device than the five",
        """
found = sorted(set(os.listdir("/dev")) - {"full", "null", "random", "shm", "urandom", "zero"}
               - {"fd", "stdin", "stdout", "stderr"})  # what a process has open itself
""",
        stopped=([],),
        layers=(),
        succeeds=(),
        no_control="the list is the proof",
    ),
    Attack(
        13,
        "fill its scratch space by bytes",
        """
def fill():
    with open("/tmp/full", "wb", buffering=0) as file:
        for _ in range(3):
            file.write(bytes(1 << 20))
try:
    found = tried(fill)
finally:
    os.unlink("/tmp/full")
""",
        stopped=("ENOSPC",),
        layers=("tmp",),
        succeeds=("ok",),
        options={"tmp": 1},
    ),
    Attack(
        13,
        "fill its scratch space by files",
        """
def fill():
    for number in range(400):
        os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
try:
    found = tried(fill)
finally:
    for name in os.listdir("/tmp"):
        os.unlink("/tmp/" + name)
""",
        stopped=("ENOSPC",),
        layers=("tmp",),
        succeeds=("ok",),
        options={"tmp": 1},
    ),
    Attack(
        14,
        "fill shared memory",
        """
def fill():
    with open("/dev/shm/full", "wb", buffering=0) as file:
        for _ in range(20):
            file.write(bytes(1 << 20))
try:
    found = tried(fill)
finally:
    os.unlink("/dev/shm/full")
""",
        stopped=("ENOSPC",),
        layers=("tmp",),
        succeeds=("ok",),
    ),
    Attack(
        15,
        "gain by a set-uid program",
        """
found = ""
for folder in ("/usr/bin", "/bin"):
    for name in ("su", "mount", "passwd", "newgrp", "umount"):
        path = folder + "/" + name
        if not found and os.path.exists(path) and os.stat(path).st_mode & 0o4000:
            import subprocess
            done = subprocess.run(["/bin/sh", "-c", "exec " + path + " --help; true"], capture_output=True)
            status = open("/proc/self/status").read()
            found = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "NoNewPrivs"))]
found = found or ["0000000000000000", "1"]
""",
        stopped=(["0000000000000000", "1"],),
        layers=("nnp",),
        also_without=("sec", "ll"),
        succeeds=(["0000000000000000", "0"],),
    ),
    Attack(
        16,
        "overwrite the code of the platform",
        """
found = [opens_to_write("/opt/cellblock/_cellblock/serve/loop.py"),
         tried(lambda: os.close(os.open("/opt/cellblock/_cellblock/planted.py", os.O_CREAT | os.O_WRONLY)))]
""",
        # The second where the checkout is the server's own user's: modes refuse nothing then.
        stopped=(["EACCES", "EROFS"], ["EROFS", "EROFS"]),
        layers=("ro", "ll"),
        stopped_by_one=(["EROFS", "EROFS"], ["EACCES", "EACCES"], ["EACCES", "EROFS"]),
        # Of a copy that everybody may write.
        succeeds=(["ok", "ok"],),
    ),
    Attack(
        16,
        "overwrite the running interpreter",
        """
found = sorted({opens_to_write(path) for path in ("/proc/self/exe", sys.executable, os.__file__, json.__file__)})
""",
        stopped=(["EACCES"], ["EACCES", "EROFS"], ["EACCES", "ETXTBSY"]),
        layers=(),
        succeeds=(),
        no_control="a control would have to write to the host's interpreter",
    ),
    Attack(
        17,
        "plant a file that the next interpreter runs",
        """
import site
found = sorted({tried(lambda: os.close(os.open(folder + "/canary.pth", os.O_CREAT | os.O_WRONLY)))
                for folder in sys.path if os.path.isdir(folder)})
""",
        stopped=(["EROFS"],),
        layers=(),
        succeeds=(),
        no_control="a control would have to write to the host's libraries; 16 has one on a copy",
    ),
    Attack(
        99,
        "use a capability that was left",
        """
status = open("/proc/self/status").read()
caps = sorted({line.split()[1] for line in status.splitlines() if line.startswith("Cap")})
found = [caps == ["0000000000000000"], tried(lambda: socket.sethostname("canary"))]
""",
        stopped=([True, "EPERM"],),
        layers=("cap",),
        also_without=("sec",),
        stopped_by_one=([True, "EPERM"],),
        succeeds=([False, "ok"],),
    ),
]
