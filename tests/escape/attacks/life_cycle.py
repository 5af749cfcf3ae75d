"""J. Life cycle: what a cell might inherit, and what it might leave to the next.  Code for ``hostile.SOURCE``."""

from __future__ import annotations

# Looks for the shape of a secret, not for the secret: else it would find what it looks with.  Each region
# is read in pieces that overlap, as any debugger would.
SCAN = r"""
import hashlib, re
SHAPE = re.compile(rb"(?:canary-[0-9a-f]{24}|test-token-[0-9a-f]{16}|CELLBLOCK_ADMIN_[T]OKEN)")
KEPT = []
if HOLD:
    KEPT.append("canary-" + os.urandom(12).hex())
PIECE, OVERLAP = 1 << 22, 64
seen, scanned = set(), 0
readable = []
reader, writer = os.pipe()
def copied(at, length):
    parts = []
    while length > 0:
        count = libc.write(writer, ctypes.c_void_p(at), ctypes.c_size_t(min(length, 1 << 16)))
        if count <= 0:
            break
        parts.append(os.read(reader, count))
        at, length = at + count, length - count
    return b"".join(parts)
for line in open("/proc/self/maps").read().splitlines():
    bounds, access, _, _, _, *path = line.split()
    # Not what is mapped from a file and cannot be written: nobody's secret is there, and it is the most.
    if access[0] == "r" and (access[1] == "w" or not path) and not line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
        start, end = (int(text, 16) for text in bounds.split("-"))
        readable.append((start, end))
for start, end in readable:
    for at in range(start, end, PIECE):
        length = min(PIECE + OVERLAP, end - at)
        # By a pipe: a page that cannot be read is EFAULT then, and not the end.
        data = copied(at, length)
        scanned += len(data)
        seen.update(SHAPE.findall(data))
        del data
found = {"seen": sorted(text.decode() for text in seen), "mebibytes": scanned >> 20, "kept": KEPT}
"""
# The same through the file that debuggers use.
MEMORY_FILE = """
found = tried(lambda: os.close(os.open("/proc/self/mem", os.O_RDONLY)))
"""
# Everything that Python itself can reach.
OBJECTS = """
import gc, re
SHAPE = re.compile("canary-[0-9a-f]{24}|test-token-[0-9a-f]{16}")
KEPT = ["canary-" + os.urandom(12).hex()] if HOLD else []
seen = set()
for held in gc.get_objects():
    for item in [held, *gc.get_referents(held)]:
        if isinstance(item, (str, bytes)):
            text = item if isinstance(item, str) else item.decode("latin-1")
            seen.update(SHAPE.findall(text))
found = {"seen": sorted(seen), "environment": sorted(os.environ), "kept": KEPT}
"""
RANDOM = """
import random, uuid, secrets, tempfile
found = {
    "random": random.random(),
    "bits": random.getrandbits(128),
    "uuid4": str(uuid.uuid4()),
    "secrets": secrets.token_hex(16),
    "urandom": os.urandom(16).hex(),
    "temporary name": next(tempfile._get_candidate_names()),
}
if NUMPY:
    import numpy.random
    found["numpy"] = float(numpy.random.random())
    found["numpy generator"] = float(numpy.random.default_rng().random())
"""
# It and all its children end at once, some while they are being made.
DIES_WITH_CHILDREN = """
for _ in range(3):
    if os.fork() == 0:
        signal.pause()
        os._exit(0)
os._exit(1)
"""
