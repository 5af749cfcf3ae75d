"""What one tenant leaves, holds or looks for, with another tenant in mind: code for the hostile function."""

from __future__ import annotations

# Of another tenant's secret, see ``test_two_tenants``.
PATTERN = "secret-[0-9a-f]{16}-end"

LINKS = """
for place in ("/tmp/result", "/tmp/output.json", "/tmp/response", "/dev/shm/result", "/tmp/logs"):
    tried(lambda: os.symlink(FILE, place))
print(open("/tmp/result").read() if os.path.exists("/tmp/result") else "dangling")
found = sorted(os.listdir("/tmp"))
"""

MESS = """
def deep():
    os.chdir("/tmp")
    for _ in range(1000):
        os.mkdir("d")
        os.chdir("d")

def sparse():
    with open("/tmp/sparse", "wb") as file:
        file.truncate(1 << 50)

def many():
    for number in range(100000):
        os.close(os.open(f"/tmp/many-{number}", os.O_CREAT | os.O_WRONLY))

names = [b"/tmp/\\xff\\xfe", b"/tmp/new\\nline", b"/tmp/-rf", b"/tmp/" + b"x" * 255, b"/tmp/\\x1b[2J"]
found = {
    "file": tried(lambda: open("/tmp/file", "w").close()),
    "hardlink": tried(lambda: os.link("/tmp/file", "/tmp/hardlink")),
    "fifo": tried(lambda: os.mkfifo("/tmp/fifo")),
    "socket": tried(lambda: socket.socket(socket.AF_UNIX).bind("/tmp/socket")),
    "sparse": tried(sparse),
    "names": [tried(lambda: open(name, "w").close()) for name in names],
    "deep": in_child(deep),
    "many": tried(many),
}
"""

SWAP = """
read, write = os.pipe()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.symlink(FOLDER, "/tmp/link")
    os.mkdir("/tmp/folder")
    os.write(write, b"1")
    while True:
        for old, new in (("folder", "now"), ("now", "folder"), ("link", "now"), ("now", "link")):
            tried(lambda: os.rename("/tmp/" + old, "/tmp/" + new))
os.read(read, 1)
found = "swapping"
"""

SHM_LEAVE = """
number = libc.shmget(KEY, 4096, 0o1666)
libc.shmat.restype = ctypes.c_void_p
found = name_of(ctypes.get_errno())
if number >= 0:
    address = libc.shmat(number, None, 0)
    ctypes.memmove(address, b"for you\\0", 8)
    found = "ok"
"""
SHM_FIND = """
libc.shmat.restype = ctypes.c_void_p
ctypes.set_errno(0)
number = libc.shmget(KEY, 0, 0)
found = name_of(ctypes.get_errno())
if number >= 0:
    found = ctypes.string_at(libc.shmat(number, None, 0o10000)).decode()
"""
SHM_CLEAR = "number = libc.shmget(KEY, 0, 0)\nfound = libc.shmctl(number, 0, None) if number >= 0 else 0"
MESSAGE_LEAVE = """
number = libc.msgget(KEY, 0o1666)
found = name_of(ctypes.get_errno())
if number >= 0:
    found = "ok" if libc.msgsnd(number, ctypes.byref(ctypes.c_long(1)), ctypes.c_size_t(0), 0o4000) == 0 else "not sent"
"""
MESSAGE_FIND = """
ctypes.set_errno(0)
number = libc.msgget(KEY, 0)
found = name_of(ctypes.get_errno())
if number >= 0:
    buffer = ctypes.create_string_buffer(64)
    found = libc.msgrcv(number, buffer, ctypes.c_size_t(8), ctypes.c_long(0), 0o4000)
"""
MESSAGE_CLEAR = "number = libc.msgget(KEY, 0)\nfound = libc.msgctl(number, 0, None) if number >= 0 else 0"

KEY_LEAVE = """
number = libc.syscall(248 if IS_X86 else 217, b"user", MARK.encode(), b"for you", ctypes.c_size_t(7), -3)
found = "ok" if number >= 0 else name_of(ctypes.get_errno())
"""
KEY_FIND = """
keyctl = 250 if IS_X86 else 219
ctypes.set_errno(0)
number = libc.syscall(keyctl, 10, -3, b"user", MARK.encode(), 0)
found = name_of(ctypes.get_errno())
if number >= 0:
    buffer = ctypes.create_string_buffer(64)
    size = libc.syscall(keyctl, 11, number, buffer, 64)
    found = buffer.raw[:size].decode() if size >= 0 else "found and not read"
"""
KEY_CLEAR = """
keyctl = 250 if IS_X86 else 219
number = libc.syscall(keyctl, 10, -3, b"user", MARK.encode(), 0)
found = libc.syscall(keyctl, 9, number, -3) if number >= 0 else 0
"""

LOCKED = "/usr/bin/env"
LOCK = f"""
import fcntl
sys.modules["kept"] = os.open({LOCKED!r}, os.O_RDONLY)
found = tried(lambda: fcntl.flock(sys.modules["kept"], fcntl.LOCK_EX | fcntl.LOCK_NB))
"""
UNLOCK = 'kept = sys.modules.pop("kept", None)\nfound = "ok" if kept is None else os.close(kept)'
LOOK = f"""
import fcntl
look = os.open({LOCKED!r}, os.O_RDONLY)
found = tried(lambda: fcntl.flock(look, fcntl.LOCK_EX | fcntl.LOCK_NB))
os.close(look)
"""

# On the same inode as everybody's, or on one of the cell's own: by what is opened, and by which kind of lock.
SHARED_INODES = ("0", *("/dev/" + name for name in ("null", "zero", "full", "random", "urandom")))
_OPENED = "0 if {place!r} == '0' else os.open({place!r}, os.O_RDWR)"
KINDS_OF_LOCK = {
    "flock": "fcntl.flock({descriptor}, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "an-open-files-lock": (
        "fcntl.fcntl({descriptor}, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', {lock}, 0, 0, 0, 0)) and None"
    ),
}


def locked(place: str, kind: str) -> str:
    """Takes the lock and keeps it."""
    # Standard input can be read only: a lock of who reads.
    taken = KINDS_OF_LOCK[kind].format(descriptor="kept", lock="0" if place == "0" else "1")
    return (
        f"import fcntl, struct\nkept = sys.modules['kept'] = {_OPENED.format(place=place)}\n"
        f"found = tried(lambda: {taken})"
    )


UNLOCKED = """
import fcntl, struct
kept = sys.modules.pop("kept", 0)
fcntl.flock(kept, fcntl.LOCK_UN)
fcntl.fcntl(kept, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_UNLCK, 0, 0, 0, 0))
found = os.close(kept) if kept else None
"""


def looked_at(place: str, kind: str) -> str:
    """Whether the lock can be had, for a moment."""
    path = "/dev/null" if place == "0" else place
    taken = KINDS_OF_LOCK[kind].format(descriptor="look", lock="1")
    return (
        f"import fcntl, struct\nlook = os.open({path!r}, os.O_RDWR)\n"
        f"found = tried(lambda: {taken})\nos.close(look)"
    )


STANDARD_INPUT = """
before = os.statvfs("/tmp").f_bfree, os.statvfs("/dev/shm").f_bfree
found = [
    os.read(0, 100).decode(), os.isatty(0), tried(lambda: os.write(0, b"x")), tried(lambda: os.ftruncate(0, 1 << 20)),
    tried(lambda: os.close(os.open("/proc/self/fd/0", os.O_RDONLY))),
    (os.statvfs("/tmp").f_bfree, os.statvfs("/dev/shm").f_bfree) == before,
    os.path.exists("/dev/shm/.nothing"), input() if False else sys.stdin.read(),
]
"""

REOPEN = """
def reopened(number, flags, then):
    descriptor = os.open(f"/proc/self/fd/{number}", flags | os.O_NONBLOCK)
    try:
        then(descriptor)
    finally:
        os.close(descriptor)

found = [
    tried(lambda: reopened(3, os.O_WRONLY, lambda fd: os.write(fd, b"injected" * 100))),
    tried(lambda: reopened(4, os.O_RDONLY, lambda fd: os.read(fd, 4096))),
]
"""
CHANNEL = {
    "closed": "os.close(4)",
    "both-closed": "os.close(3)\nos.close(4)",
    "not-blocking": "os.set_blocking(3, False)\nos.set_blocking(4, False)\nfound = 1",
    "resized": "import fcntl\ntried(lambda: fcntl.fcntl(4, 1031, 4096) and None)\nfound = 'x' * 100000",
    "exchanged": "os.dup2(3, 9)\nos.dup2(4, 3)\nos.dup2(9, 4)",
    "another-file": "os.dup2(os.open('/dev/null', os.O_RDWR), 4)",
    "read-by-itself": "os.set_blocking(3, False)\ntried(lambda: os.read(3, 99))\nfound = 1",
}

SEARCH = f"""
import gc, re
pattern = re.compile({PATTERN!r}.encode())
places = [repr(value).encode() for value in (dict(os.environ), sys.argv, sorted(sys.modules))]
for path in ("/proc/self/environ", "/proc/self/cmdline", "/proc/1/environ", "/proc/1/cmdline"):
    places.append(str(reads(path)).encode())
places += [repr(item).encode() for item in gc.get_objects() if type(item) in (dict, list, tuple)][:20000]
try:
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            if "r" in line.split()[1][:1] and "[v" not in line:
                first, last = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(first)
                places.append(memory.read(min(last - first, 64 << 20)))
except OSError:
    pass
found = sorted({{match.decode() for place in places for match in pattern.findall(place)}})
"""

SHARED_IPC = {
    "shared-memory": (SHM_LEAVE, SHM_FIND, SHM_CLEAR, "for you"),
    "message-queue": (MESSAGE_LEAVE, MESSAGE_FIND, MESSAGE_CLEAR, 0),
}
