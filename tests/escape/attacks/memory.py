"""F. Memory: ways to touch more than the limit, each of another kind; in bounded amounts.

With 64 MiB to touch, each of these takes 240 where nothing stops it, and then says "ok".
"""

from __future__ import annotations

TAKEN_MIB = 240

_TOUCH = """
import mmap, threading, time
PAGE = mmap.PAGESIZE

def touch(memory, value=1):
    for offset in range(0, len(memory), PAGE):
        memory[offset] = value

def children(number, work):
    pids = []
    for _ in range(number):
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        pids.append(pid)
    ended = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(ended):
        raise MemoryError
"""

# Name → code; ``found`` is "ok" where it got everything.
ATTACKS: dict[str, str] = {
    "at-once": "found = tried(lambda: touch(bytearray(240 << 20)))",
    "bit-by-bit": """
kept = []
def take():
    for _ in range(240):
        kept.append(b"x" * (1 << 20))
found = tried(take)
""",
    "error-caught-and-on": """
kept = []
while len(kept) < 240:
    try:
        kept.append(b"x" * (1 << 20))
    except MemoryError:
        pass
found = "ok"
""",
    "threads": """
kept = []
def take():
    memory = bytearray(40 << 20)
    touch(memory)
    kept.append(memory)
def all_of_them():
    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(kept) < 6:
        raise MemoryError
found = tried(all_of_them)
""",
    "a-deaf-main-thread": """
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
found = tried(lambda: touch(bytearray(240 << 20)))
""",
    "the-signal-ignored": """
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
kept = []
def take():
    for _ in range(240):
        kept.append(b"x" * (1 << 20))
found = tried(take)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
""",
    "children": """
def take():
    memory = bytearray(60 << 20)
    touch(memory)
    time.sleep(1)
found = tried(lambda: children(4, take))
""",
    "copies-after-a-fork": """
memory = bytearray(40 << 20)
touch(memory)
def take():
    touch(memory, 2)
    time.sleep(1)
found = tried(lambda: children(5, take))
""",
    "programs": """
import subprocess
CHILD = "kept = bytearray(b'x') * (60 << 20); import time; time.sleep(1)"
def take():
    running = [subprocess.Popen([sys.executable, "-c", CHILD]) for _ in range(4)]
    if any([one.wait() for one in running]):
        raise MemoryError
found = tried(take)
""",
    "shared-with-nobody": """
kept = mmap.mmap(-1, 240 << 20)
found = tried(lambda: touch(kept))
""",
    "shared-with-children": """
kept = mmap.mmap(-1, 240 << 20)
def take():
    touch(kept)
    time.sleep(0.5)
found = tried(lambda: children(4, take))
""",
    "huge-pages": """
kept = mmap.mmap(-1, 240 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
kept.madvise(mmap.MADV_HUGEPAGE)
def take():
    for offset in range(0, len(kept), 2 << 20):
        kept[offset:offset + (2 << 20)] = b"x" * (2 << 20)
found = tried(take)
""",
    "copies-of-a-files-pages": """
kept = []
def take():
    lines = [line.split() for line in open("/proc/self/maps")]
    named = {line[5] for line in lines if len(line) == 6 and os.path.isfile(line[5])}
    largest = max(named, key=os.path.getsize)
    with open(largest, "rb") as file:
        size = os.fstat(file.fileno()).st_size & -PAGE
        taken = 0
        while taken < 240 << 20:
            memory = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
            touch(memory)
            kept.append(memory)
            taken += size
    return None
found = tried(take)
""",
    "back-and-forth-at-the-limit": """
kept = bytearray(50 << 20)
touch(kept)
def take():
    for _ in range(400):
        memory = bytearray(20 << 20)
        touch(memory)
    more = bytearray(190 << 20)
    touch(more)
found = tried(take)
""",
    "many-small-ones": """
kept = []
def take():
    for number in range(20):
        kept.append([bytes([number]) * 4000 + str(each).encode() for each in range(3000)])
found = tried(take)
""",
}
ATTACKS = {name: _TOUCH + code for name, code in ATTACKS.items()}
