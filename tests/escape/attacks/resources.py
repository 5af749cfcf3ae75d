"""F. Resources: what takes more than its share, in bounded amounts so that a control hurts nobody.

Each is code for the hostile function; ``found`` is what came of it.
"""

from __future__ import annotations

# More than eight processes, far less than a machine has.
BOUND = 30

FORKS = f"""
children = []
def bomb():
    for _ in range({BOUND}):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        children.append(pid)
result = tried(bomb)
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
found = [result, len(children)]
"""

# Only where something stops it.
ENDLESS_FORKS = """
while True:
    try:
        os.fork()
    except OSError:
        pass
"""

THREADS = f"""
import threading
done = threading.Event()
started = []
def bomb():
    for _ in range({BOUND}):
        thread = threading.Thread(target=done.wait, daemon=True)
        thread.start()
        started.append(thread)
result = tried(bomb)
done.set()
for thread in started:
    thread.join()
found = [result, len(started)]
"""

ZOMBIES = f"""
children = []
def bomb():
    for _ in range({BOUND}):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        children.append(pid)
result = tried(bomb)
for pid in children:
    os.waitpid(pid, 0)
found = [result, len(children)]
"""

# Deaf to every signal, in a session of its own, without a parent.
DAEMON = """
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        os.write(write, b"1")
        while True:
            signal.pause()
    os._exit(0)
os.waitpid(pid, 0)
os.read(read, 1)
found = "ok"
"""

# Three times what the limit is, and touched.
MEMORY = "found = tried(lambda: len(bytearray(b'x') * (200 << 20)) >> 20)"
# Each of these may have so much: it is the cell that may not.
EATERS = """
import time
def eat():
    pids = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            kept = bytearray(b"x") * (32 << 20)
            time.sleep(1)
            os._exit(0)
        pids.append(pid)
    return max(os.WTERMSIG(os.waitpid(pid, 0)[1]) for pid in pids)
"""
MEMORY_OF_CHILDREN = f"{EATERS}found = eat()"
MEMORY_OF_A_GRANDCHILD = f"{EATERS}found = in_child(eat)"

FILL = """
def fill():
    with open({path!r}, "wb", buffering=0) as file:
        {before}
        for _ in range({mebibytes}):
            if file.write(bytes(1 << 20)) < 1 << 20:
                raise OSError(errno.ENOSPC, "short")
found = tried(fill)
tried(lambda: os.unlink({path!r}))
"""
INODES = """
made = []
def fill():
    for number in range(3000):
        os.close(os.open(f"/tmp/inode-{number}", os.O_CREAT | os.O_WRONLY))
        made.append(number)
result = tried(fill)
for number in made:
    os.unlink(f"/tmp/inode-{number}")
found = [result, len(made) < 3000]
"""

# As many full pipes as one user may have (64 MiB), and memory of its own below its limit.
PIPES = """
kept, written = [], 0
def fill():
    global written
    for _ in range(1000):
        read, write = os.pipe()
        kept.append((read, write))
        os.set_blocking(write, False)
        written += os.write(write, bytes(1 << 16))
result = tried(fill)
if result == "ok":
    own = bytearray(52 << 20)
    for page in range(0, len(own), 4096):
        own[page] = 1
found = [result, written >> 20]
"""
# A queue of descriptors that nobody receives: each stays open in the kernel.
IN_FLIGHT = """
import array
kept = []
def send():
    for _ in range(10):
        pair = socket.socketpair()
        kept.append(pair)
        for _ in range(10):
            pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 10))])
found = tried(send)
for pair in kept:
    pair[0].close()
    pair[1].close()
"""
SOCKET_BUFFERS = """
kept, sent = [], 0
def send():
    global sent
    # What one socket takes is the host's affair: 400 KiB or 8 MiB.
    while sent < 128 << 20:
        pair = socket.socketpair()
        kept.append(pair)
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
            end.setblocking(False)
            try:
                while sent < 128 << 20:
                    sent += end.send(bytes(1 << 16))
            except BlockingIOError:
                pass
found = [tried(send), sent >> 20]
for pair in kept:
    pair[0].close()
    pair[1].close()
"""
MLOCK = """
import mmap
kept = mmap.mmap(-1, 1 << 14)
address = ctypes.addressof(ctypes.c_char.from_buffer(kept))
found = sys_(149, 228, address, 1 << 14)
"""

# A tenth of a core, for some seconds and for programs that are started beside their parents.
TENTH = {"cpu": 0.1, "processes": 16, "timeout": 20.0}
# More than that quota gives, with all that accounting may add.
MORE_THAN_A_TENTH = 0.25
# Seconds of the processor per second of the clock, of six processes in the best of some seconds: beside
# a busy machine's other work one may be poor without any quota, and none may be rich with one.
MOST_OF_A_CORE = f"""
import resource, time

def used():
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(part.ru_utime + part.ru_stime for part in parts)

def share_of_a_second(work):
    began, used_before = time.monotonic(), used()
    children = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < began + 1:
                work()
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return (used() - used_before) / (time.monotonic() - began)

def most(work):
    best = 0
    for _ in range(8):
        best = max(best, share_of_a_second(work))
        if best > {MORE_THAN_A_TENTH}:
            break
    return best
"""
SPIN = MOST_OF_A_CORE + "found = most(lambda: None)"
EXECS = MOST_OF_A_CORE + "found = most(lambda: os.waitpid(os.posix_spawn('/usr/bin/true', ['true'], {}), 0))"

DEAF = """
import time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(1)
"""
STOPPED = "os.kill(os.getpid(), signal.SIGSTOP)\nfound = 'went on'"
ASLEEP_IN_C = "libc.pause()\nfound = 'woke up'"
# Its parent waits in the kernel for a child that never becomes another program.
HELD_VFORK = """
if libc.syscall(56 if IS_X86 else 220, 0x4111, 0, 0, 0, 0) == 0:  # CLONE_VM, CLONE_VFORK, SIGCHLD
    while True:
        libc.pause()
found = "went on"
"""

DESCRIPTORS = """
kept = []
def open_many():
    for _ in range(40):
        kept.append(os.open("/dev/null", os.O_RDONLY))
found = tried(open_many)
for descriptor in kept:
    os.close(descriptor)
"""
NESTED_EPOLL = """
import select
kept = [select.epoll()]
def nest():
    for _ in range(20):
        outer = select.epoll()
        kept.append(outer)
        outer.register(kept[-2].fileno(), select.EPOLLIN)
found = [tried(nest), len(kept)]
for one in kept:
    one.close()
"""
TIMERS = """
kept = []
def start():
    for _ in range(1000):
        number = ctypes.c_int(0)
        what = sys_(222, 107, 1, None, ctypes.byref(number))
        if what != "ok":
            raise OSError(getattr(errno, what), what)
        kept.append(number.value)
found = tried(start)
for number in kept:
    sys_(226, 111, number)
"""
QUEUED_SIGNALS = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
libc.sigqueue.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
def queue():
    for _ in range(1000):
        if libc.sigqueue(os.getpid(), signal.SIGRTMIN, None) < 0:
            raise OSError(ctypes.get_errno(), "sigqueue")
found = tried(queue)
"""

# In C, so that the stack ends before the interpreter's own patience does.
DEEP_RECURSION = """
sys.setrecursionlimit(1 << 30)
nested = []
for _ in range(1 << 20):
    nested = [nested]
found = len(repr(nested))
"""
HUGE_INT = """
getattr(sys, "set_int_max_str_digits", print)(0)
found = len(str(7 ** (10 ** 8)))
"""
REDOS = "import re\nfound = re.match('(a+)+$', 'a' * 60 + 'b') is None"
ZIP_BOMB = """
import zlib
packer = zlib.compressobj(1)
packed = b"".join([packer.compress(bytes(1 << 20)) for _ in range(300)] + [packer.flush()])
found = tried(lambda: len(zlib.decompress(packed)) >> 20)
"""
AST_BOMB = """
import ast
found = tried(lambda: ast.literal_eval("(" * 150 + "-" * 3000000 + "1" + ")" * 150) and None)
"""
CRASH = "import os\n\ndef handle(req):\n    os.kill(os.getpid(), 11)\n"
