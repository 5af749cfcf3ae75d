"""H. Protocol: a function that speaks for itself on the pipe where its worker's answers go.

SOURCE is the tenant's handler.py.  A call to ``/`` is an honest one and tells the instance; any other
call's body is code, which runs with the tools of SOURCE and ``n``, the number of the call that runs.
Each entry below is such code.
"""

from __future__ import annotations

SOURCE = '''
import asyncio, atexit, contextlib, ctypes, fcntl, gc, os, select, signal, socket, struct, sys, threading, time
import msgpack
from _cellblock import wire

HEAD = msgpack.packb([200, 1, 0, 0])
INSTANCE = os.urandom(8).hex()
open("/tmp/" + INSTANCE, "w").close()
SEEN = []


def number():
    """The running call's, found where the worker keeps it."""
    frame = sys._getframe()
    while frame is not None:
        held = frame.f_locals.get("frame")
        if isinstance(held, wire.Frame):
            return held.call
        frame = frame.f_back


def prefix(kind, call, head_bytes, body_bytes):
    return wire.PREFIX.pack(kind, call, head_bytes, body_bytes)


def sealed(call, head, body=b"", kind=wire.ANSWER):
    """A frame with any head whatever, its lengths true."""
    return prefix(kind, call, len(head), len(body)) + head + body


def answer(call, body=b"own", headers=(), status=200):
    """An answer that no rule of ours has looked at."""
    items = [status, 1, 0, 0]
    for pair in headers:
        items.extend(pair)
    return sealed(call, msgpack.packb(items), body)


def send(data, descriptor=4):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest):]


def later(data, seconds=0.05):
    """From a thread, when the call has long been answered."""
    def wait_and_send():
        time.sleep(seconds)
        send(data)
    threading.Thread(target=wait_and_send, daemon=True).start()


def handle(req):
    if req.path == "/":
        return {"body": INSTANCE}
    names = dict(globals(), n=number())
    exec(req.body.decode(), names)
    return names.get("returned", {"body": INSTANCE})
'''

# ---- 76: lengths ------------------------------------------------------------------------------

LENGTHS = {
    "a-head-of-four-gigabytes": "send(prefix(wire.ANSWER, n, 0xFFFFFFFF, 0))",
    "a-body-of-four-gigabytes": "send(prefix(wire.ANSWER, n, len(HEAD), 0xFFFFFFFF) + HEAD)",
    "the-sign-bit": "send(prefix(wire.ANSWER, n, len(HEAD), 0x80000000) + HEAD)",
    "two-gigabytes": "send(prefix(wire.ANSWER, n, len(HEAD), 0x7FFFFFFF) + HEAD)",
    "less-than-nothing": "send(struct.pack('>BIii', wire.ANSWER, n, -1, -1))",
    "no-head": "send(prefix(wire.ANSWER, n, 0, 0))",
    "one-byte-of-head-too-many": "send(prefix(wire.ANSWER, n, (64 << 10) + 1, 0))",
    "one-byte-of-body-too-many": "send(prefix(wire.ANSWER, n, len(HEAD), (1 << 20) + 1) + HEAD)",
    "a-truncated-prefix": "send(prefix(wire.ANSWER, n, 0xFFFFFFFF, 0)[:7])",
    "a-body-where-none-may-be": "send(prefix(wire.RAISED, n, 4, 1))",
    "raw-garbage": "send(b'HTTP/1.1 200 OK\\r\\n\\r\\nhello')",
    "zeros": "send(bytes(70000))",
    "ones": "send(b'\\xff' * 70000)",
    "a-kind-that-is-none": "send(prefix(255, n, 0, 0))",
    "a-call-sent-back": "send(wire.encode(wire.CALL, n, ('GET', '/', '', 'c', 1)))",
}
LENGTHS_AFTER_AN_ANSWER = {
    "four-gigabytes": "send(answer(n) + prefix(wire.ANSWER, n, 0xFFFFFFFF, 0xFFFFFFFF))",
    "garbage": "send(answer(n) + b'\\xff' * 20)",
}

# ---- 77: heads --------------------------------------------------------------------------------

RAW_HEADS = {
    "a-megabyte-of-empty-maps": "b'\\x80' * (1 << 20)",
    "as-many-empty-maps-as-fit": "b'\\x80' * (64 << 10)",
    "an-array-of-empty-maps": "b'\\xdc\\x02\\x00' + b'\\x80' * 512",
    "containers-of-64-in-each-other": "b'\\x9f' + (b'\\xdc\\x00\\x40' + (b'\\xdc\\x00\\x40' + b'\\x90' * 64) * 64) * 15",
    "containers-of-64-that-never-fill": "b'\\xdc\\x00\\x40' * 1000",
    "the-largest-containers-that-never-fill": "b'\\xdc\\x02\\x10' * 21000",
    "a-depth-of-1000": "b'\\x91' * 1000 + b'\\xc0'",
    "a-depth-of-60000": "b'\\x91' * 60000 + b'\\xc0'",
    "maps-in-maps": "b'\\x81\\xa1a' * 1000 + b'\\xc0'",
    "an-array-of-four-billion": "b'\\xdd\\xff\\xff\\xff\\xff'",
    "a-map-of-four-billion": "b'\\xdf\\xff\\xff\\xff\\xff'",
    "a-text-of-four-billion": "b'\\x93\\xcc\\xc8\\x01\\xdb\\xff\\xff\\xff\\xff'",
    "an-extension-type": "msgpack.packb([200, 1, 0, 0, msgpack.ExtType(5, b'x' * 100), 'b'])",
    "an-extension-type-of-no-bytes": "msgpack.packb([200, 1, 0, 0, msgpack.ExtType(5, b''), 'b'])",
    "a-timestamp": "msgpack.packb([200, 1, 0, 0, 'x', msgpack.Timestamp(1, 1)])",
    "duplicate-keys": "b'\\x93\\xcc\\xc8\\x01\\x82\\xa1a\\x01\\xa1a\\x02'",
    "bad-utf-8": "b'\\x94\\xcc\\xc8\\x01\\xa3X-A\\xa2\\xff\\xfe'",
    "half-a-surrogate": "b'\\x94\\xcc\\xc8\\x01\\xa3X-A\\xa3\\xed\\xa0\\x80'",
    "bytes-for-text": "msgpack.packb([200, 1, 0, 0, b'X-A', 'b'])",
    "a-float-for-a-number": "msgpack.packb([200.0, 1, 0, 0])",
    "a-bool-for-a-number": "msgpack.packb([200, True, 0, 0])",
    "nothing-for-a-number": "msgpack.packb([200, None, 0, 0])",
    "a-number-below-zero": "msgpack.packb([200, -1, 0, 0])",
    "a-number-of-64-bits": "msgpack.packb([200, (1 << 64) - 1, 0, 0])",
    "too-few-fields": "msgpack.packb([200])",
    "half-a-header": "msgpack.packb([200, 1, 0, 0, 'X-A'])",
    "no-array": "msgpack.packb('200')",
    "two-heads": "msgpack.packb([200, 1, 0, 0]) * 2",
}  # fmt: skip
HEADS = {name: f"send(sealed(n, {head}))" for name, head in RAW_HEADS.items()}

# ---- 78: time ---------------------------------------------------------------------------------

# Deaf to what would end its call and not its cell.
DEAF = "signal.signal(signal.SIGXCPU, signal.SIG_IGN)"
SLOW = {
    "a-byte-at-a-time": f"{DEAF}\nfor byte in answer(n): send(bytes([byte])); time.sleep(0.2)",
    "half-an-answer": f"{DEAF}; send(answer(n, bytes(1000))[:500]); time.sleep(60)",
    "an-answer-that-never-comes": f"{DEAF}\nwhile True: signal.pause()",
    "a-promised-body": "send(prefix(wire.ANSWER, n, len(HEAD), 1 << 20) + HEAD)",
    "a-promised-head": "send(prefix(wire.ANSWER, n, 64 << 10, 0))",
    "one-byte": f"{DEAF}; send(b'\\x13'); time.sleep(60)",
    "a-flood-of-log-lines": f"{DEAF}\nwhile True: os.write(1, b'\\n' * 65536)",
    "a-pipe-that-leads-nowhere": "os.dup2(os.open('/dev/null', os.O_WRONLY), 4)",
}

# ---- 79: order --------------------------------------------------------------------------------

OUT_OF_TURN = {
    "to-the-next-call": "send(answer(n + 1, b'forged'))",
    "to-the-call-before": "send(answer(n - 1, b'forged'))",
    "to-a-call-far-away": "send(answer(n + 1000, b'forged'))",
    "to-the-last-number": "send(answer(0xFFFFFFFF, b'forged'))",
    "to-no-call": "send(answer(0, b'forged'))",
    "an-exception-of-another-call": "send(wire.encode(wire.RAISED, n + 1, ('E', 'forged', 1, '', '', 1, 0, 0)))",
}
TWICE = {
    "twice": "send(answer(n) + answer(n, b'forged'))",
    "once-before-the-worker": "send(answer(n))",
    "and-to-the-next": "send(answer(n) + answer(n + 1, b'forged'))",
    "a-hundred-times": "send(answer(n) + answer(n, b'forged') * 99)",
}
LATE = {
    "to-the-same-call": "later(answer(n, b'forged'))",
    "to-the-next-call": "later(answer(n + 1, b'forged'))",
    "ready": "later(wire.encode(wire.READY, 0, (0, 1, 'handle', '3.11')))",
    "garbage": "later(b'\\0' * 100)",
    "one-byte": "later(b'\\x13')",
    "a-promise-of-an-answer": "later(prefix(wire.ANSWER, n + 1, len(HEAD), 1 << 20) + HEAD + bytes(1 << 16))",
    "one-byte-then-more": "later(b'\\x13'); later(b'\\xff' * 30, 0.1)",
}
# What a module does before it has a handler; after SOURCE.
EARLY = {
    "an-answer": "os.write(4, answer(1, b'forged'))",
    "many-answers": "os.write(4, b''.join(answer(number, b'forged') for number in range(1, 50)))",
    "one-byte": "os.write(4, b'\\x13')",
    "garbage": "os.write(4, b'\\xff' * 100)",
    "a-huge-length": "os.write(4, prefix(wire.READY, 0, 0xFFFFFFFF, 0xFFFFFFFF))",
    "ready-and-an-answer": "os.write(4, wire.encode(wire.READY, 0, (0, 1, 'handle', '3.11')) + answer(1, b'forged'))",
}

# ---- 80 to 82: headers, statuses, bodies --------------------------------------------------------

# Name and value, as Python text.
BAD_HEADERS = {
    "crlf": ("X-A", "b\r\nX-Invoked: forged"),
    "cr": ("X-A", "b\rX-Invoked: forged"),
    "lf": ("X-A", "b\nX-Invoked: forged"),
    "a-whole-answer": ("X-A", "b\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
    "folded": ("X-A", "b\r\n forged"),
    "nul": ("X-A", "b\0forged"),
    "escape": ("X-A", "\x1b[31mforged"),
    "delete": ("X-A", "b\x7f"),
    "beyond-latin-1": ("X-A", "\u20ac"),
    "cr-and-lf-when-cut-to-a-byte": ("X-A", "b\u010d\u010aX-Invoked: forged"),
    "crlf-in-the-name": ("X-A\r\nX-B", "forged"),
    "a-colon-in-the-name": ("X-A: forged\r\n", "b"),
    "a-blank-in-the-name": ("X A", "forged"),
    "a-blank-after-the-name": ("Content-Length ", "0"),
    "a-tab-before-the-name": ("\tX-A", "forged"),
    "no-name": ("", "forged"),
    "a-name-with-an-accent": ("X-\xe9", "forged"),
    "a-name-that-is-a-status-line": ("HTTP/1.1 200 OK", "forged"),
}  # fmt: skip
MANY_HEADERS = {
    "257": "[('X-A', 'b')] * 257",
    "10000": "[('X-A', 'b')] * 10_000",
    "one-of-a-megabyte": "[('X-A', 'b' * (1 << 20))]",
    "a-name-of-a-megabyte": "[('X' * (1 << 20), 'b')]",
}
# Not the function's to say: each is dropped, and the body arrives as it is.
DROPPED_HEADERS = {
    "a-content-length-too-small": [("Content-Length", "1")],
    "a-content-length-too-large": [("Content-Length", "1000")],
    "two-content-lengths": [("Content-Length", "5"), ("content-length", "6")],
    "transfer-encoding": [("Transfer-Encoding", "chunked")],
    "transfer-encoding-and-length": [("Transfer-Encoding", "gzip, chunked"), ("Content-Length", "3")],
    "connection-close": [("Connection", "close"), ("Keep-Alive", "timeout=1, max=1")],
    "connection-that-names-ours": [("Connection", "X-Call-Id, X-Invoked, Content-Length, Server-Timing")],
    "connection-upgrade": [("Connection", "Upgrade"), ("Upgrade", "websocket")],
    "trailers": [("Trailer", "X-Late"), ("TE", "trailers"), ("Transfer-Encoding", "chunked")],
    "stamps-of-ours": [("X-Call-Id", "forged"), ("X-Invoked", "forged"), ("X-Duration-Seconds", "forged"),
                       ("X-Function-Version", "forged"),
                       ("Server-Timing", "forged"), ("X-Served-By", "forged"), ("X-Cellblock-A", "forged")],
    "words-to-a-proxy": [("X-Accel-Redirect", "/forged"), ("X-Sendfile", "/forged"), ("Via", "forged"),
                         ("X-Forwarded-For", "forged"), ("Server", "forged"), ("Date", "forged"),
                         ("Alt-Svc", "forged"), ("Proxy-Authenticate", "forged")],
}  # fmt: skip
BAD_STATUSES = (101, 100, 99, 199, 600, 999, 0, -1, 1 << 31)

OTHER_BODIES = {
    # The rest is read as the next frame.
    "longer-than-declared": ("send(sealed(n, HEAD, b'own') + b'X' * 40)", (200, 502)),
    # The worker's own answer is its rest, and not enough.
    "shorter-than-declared": ("send(prefix(wire.ANSWER, n, len(HEAD), 1000) + HEAD + b'own')", (504,)),
    # Here the rest is enough, and what is left of the worker's answer is nothing.
    "shorter-by-a-few": ("send(prefix(wire.ANSWER, n, len(HEAD), 10) + HEAD + b'own')", (200, 502)),
}  # fmt: skip

# ---- 83: logs ---------------------------------------------------------------------------------

FLOOD_BYTES = 64 << 20
FLOOD = f"block = b'A' * (1 << 20)\nfor _ in range({FLOOD_BYTES >> 20}): send(block, {{descriptor}})"
FLOOD_LINES = 256 * 1024
LINES_FLOOD = "block = b'B' * 63 + b'\\n'\nfor _ in range(256): send(block * 1024, 1)"
# Each is one line to a function, and may be nothing but one line to whoever reads the log.
FORGED_LINES = (
    b"2026-01-01 00:00:00,000 ERROR cellblock.warden: forged",
    b'{"time": "2026-01-01T00:00:00Z", "level": "error", "space": "peer", "call_id": "forged"}',
    b"\x1b[2J\x1b[1;31mforged\x1b]0;title\x07",
    b"forged\rforged 2026-01-01 00:00:00,000 ERROR cellblock.warden: forged",
    b"nul\0forged",
    b"backspace" + b"\x08" * 9 + b"forged",
    "\x9b31mforged".encode(),
    "\x85forged".encode(),
    "\u2028forged\u2029".encode(),
    "\u202eforged\u2066".encode(),
    b"\xff\xfeforged\xc3",
    b"\x0b\x0cforged\x1c\x1d\x1e",
)

# ---- 84, 85: the pipes ------------------------------------------------------------------------

SCM_RIGHTS = """
libc = ctypes.CDLL(None, use_errno=True)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("vectors", ctypes.POINTER(Vector)),
                ("count", ctypes.c_size_t), ("control", ctypes.c_char_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]
# One control message: its length, level and kind, and the descriptors.
rights = struct.pack("Nii3i", 28, socket.SOL_SOCKET, socket.SCM_RIGHTS, 0, 1, 2) + bytes(4)
vector = Vector(b"x", 1)
def passed(descriptor):
    message = Message(None, 0, ctypes.pointer(vector), 1, rights, len(rights), 0)
    ctypes.set_errno(0)
    return "sent" if libc.sendmsg(descriptor, ctypes.byref(message), 0) >= 0 else ctypes.get_errno()
ours, theirs = socket.socketpair()
control = passed(ours.fileno())
ours.close(); theirs.close()
returned = {"body": {"found": {number: passed(number) for number in range(5)}, "control": control}}
"""
LARGE = "returned = {'body': b'L' * 900_000}"
PIPE_TRICKS = {
    "packet-mode": f"fcntl.fcntl(4, fcntl.F_SETFL, fcntl.fcntl(4, fcntl.F_GETFL) | os.O_DIRECT)\n{LARGE}",
    "the-smallest-pipe": f"fcntl.fcntl(4, fcntl.F_SETPIPE_SZ, 4096)\n{LARGE}",
    # The filter refuses it: the server's user has few pages in all of its pipes.
    "a-larger-pipe": (
        "with contextlib.suppress(PermissionError):\n"
        f"    fcntl.fcntl(4, fcntl.F_SETPIPE_SZ, 1 << 20)\n{LARGE}"
    ),
    "a-smaller-way-in": f"fcntl.fcntl(3, fcntl.F_SETPIPE_SZ, 4096)\n{LARGE}",
    "signals-when-ready": f"fcntl.fcntl(4, fcntl.F_SETFL, fcntl.fcntl(4, fcntl.F_GETFL) | os.O_ASYNC)\n{LARGE}",
    "copies-of-both-ends": f"kept = [os.dup(3) for _ in range(20)] + [os.dup(4) for _ in range(20)]\n{LARGE}",
    "never-blocking": f"os.set_blocking(3, False); os.set_blocking(4, False)\n{LARGE}",
    "no-way-out": f"os.close(4)\n{LARGE}",
    "no-way-in": f"os.close(3)\n{LARGE}",
    "no-way-at-all": f"os.close(3); os.close(4)\n{LARGE}",
    "ends-exchanged": f"kept = os.dup(3); os.dup2(4, 3); os.dup2(kept, 4)\n{LARGE}",
}

REOPENED = """
try:
    os.open("/proc/self/fd/4", os.O_RDONLY | os.O_NONBLOCK)
except OSError as error:
    returned = {"body": str(error.errno)}
"""

# ---- 86, 87: the next call ----------------------------------------------------------------------

# Waits for the next call without reading it, and answers first.
_FIRST = "select.select([3], [], []); send(answer(n + 1, b'forged'))"
NEXT_CALL = {
    "a-thread-that-writes-at-once": "later(answer(n + 1, b'forged'))",
    "a-thread-that-writes-a-byte": "later(answer(n + 1, b'forged')[:1])\nlater(answer(n + 2, b'forged'), 0.1)",
    "a-child": "if os.fork() == 0:\n    time.sleep(0.05); send(answer(n + 1, b'forged')); os._exit(0)",
    "a-daemon": "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(0.05); send(answer(n + 1, b'forged'))\n    os._exit(0)",
}
IN_WAIT = {
    "a-thread": f"def wait():\n    {_FIRST}\nthreading.Thread(target=wait, daemon=True).start()",
    "a-child": f"if os.fork() == 0:\n    {_FIRST}; os._exit(0)",
}
# Every way in which the next call can be seen: what comes in, what goes out, what is held.
SPIES = """
from _cellblock.serve import channel
def note(what):
    try:
        text = repr(what)[:5000]
    except Exception:  # something half made
        return
    if text not in SEEN[-50:]:
        SEEN.append(text)
honest_read = channel.Channel.read
def read(self):
    frames = honest_read(self)
    note(frames)
    return frames
channel.Channel.read = read
honest_encode = wire.encode
def encode(*arguments, **keywords):
    note(arguments)
    return honest_encode(*arguments, **keywords)
wire.encode = encode
def trace(frame, event, argument):
    if "/_cellblock/" in frame.f_code.co_filename:
        note(list(frame.f_locals.values()))
sys.setprofile(trace)
gc.callbacks.append(lambda phase, facts: note(phase))
signal.signal(signal.SIGPROF, lambda number, frame: note(frame.f_locals))
signal.setitimer(signal.ITIMER_PROF, 0.01, 0.01)
atexit.register(lambda: send(repr(SEEN).encode(), 1))
"""
TELL = """
sys.setprofile(None)
signal.setitimer(signal.ITIMER_PROF, 0)
def below(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                SEEN.append(open(place + "/" + name, errors="replace").read(20_000))
            except OSError:
                pass
below("/tmp"); below("/dev/shm"); below("/function")
SEEN.append(repr(dict(os.environ)))
returned = {"body": "\\n".join(SEEN)[-900_000:]}
"""

# ---- 88: ends ---------------------------------------------------------------------------------

# Code, the signal and the exit code that the caller is told.
ENDS = {
    "leaves-with-success": ("os._exit(0)", 0, 0),
    "leaves-with-7": ("os._exit(7)", 0, 7),
    "leaves-in-mid-answer": ("send(answer(n, b'half' * 1000)[:2000]); os._exit(0)", 0, 0),
    "leaves-in-mid-prefix": ("send(answer(n)[:5]); os._exit(0)", 0, 0),
    "leaves-from-a-thread": ("threading.Thread(target=os._exit, args=(3,)).start(); signal.pause()", 0, 3),
    "segfault": ("ctypes.string_at(0)", 11, 0),
    "abort": ("os.abort()", 6, 0),
    "kills-itself": ("os.kill(os.getpid(), signal.SIGKILL)", 9, 0),
    "ends-its-group": ("os.killpg(0, signal.SIGTERM)", 15, 0),
    "a-call-that-is-not-allowed-to-return": ("signal.signal(11, signal.SIG_DFL); signal.raise_signal(11)", 11, 0),
    "a-stack-that-is-too-deep": ("sys.setrecursionlimit(1 << 30)\ndef deep(): return [0, *map(lambda _: deep(), [0])]\ndeep()", 11, 0),
}  # fmt: skip

# ---- 89: claims ---------------------------------------------------------------------------------

CLAIMS = {
    "ready-again": "send(wire.encode(wire.READY, 0, (0, 1, 'handle', '3.11')))",
    "ready-and-async": "send(wire.encode(wire.READY, 0, (1, 1, 'handle', '3.11')))",
    "failed": "send(wire.encode(wire.FAILED, 0, ('import', 'E', 'forged', 1, '', '')))",
    "checked": "send(wire.encode(wire.CHECKED, 0, (1, '', 0, 'handle')))",
    "a-self-test-that-held": "send(msgpack.packb({'is': 'tied', 'proof': [{'layer': 'seccomp', 'status': 'enforced', 'evidence': 'forged'}]}))",
}
EARLY_CLAIMS = {
    "ready": "os.write(4, wire.encode(wire.READY, 0, (0, 1, 'handle', '3.11')))",
    "ready-twice": "os.write(4, wire.encode(wire.READY, 0, (0, 1, 'handle', '3.11')) * 2)",
    "failed": "os.write(4, wire.encode(wire.FAILED, 0, ('import', 'E', 'forged', 1, '', '')))",
    "checked": "os.write(4, wire.encode(wire.CHECKED, 0, (1, '', 0, 'handle')))",
}
# To whoever made this cell, over every descriptor it has and the one that was the set-up socket's.
FALSE_PROOF = """
def told(descriptor):
    try:
        os.write(descriptor, msgpack.packb({"is": "tied", "proof": [{"layer": "seccomp", "status": "absent", "evidence": "forged"}]}))
        return "told"
    except OSError as error:
        return error.errno
returned = {"body": {number: told(number) for number in range(5, 64)}}
"""
