"""Raises an exception in loops, by a signal; prints the loops that did not catch it, as JSON.

Between two rounds of a loop CPython looks for the exception's handler before the loop, not in it.  Where it
looks differs by version, and by how the loop was compiled.
"""

import contextlib
import json
import signal
import sys

sys.path.insert(0, sys.argv[1])
sys.path += [sys.argv[2], sys.argv[1] + "/worker/standins"]

from worker.serve.interrupts import raise_in

TIMES = 5
LOOPS = (
    "while True: kept.append(b'x' * 4096); kept.pop()",
    "while True: kept.append(1) or kept.pop()",
    "while True: pass",
    "while not kept: pass",
    "while True:\n            if kept: continue\n            kept.append(1); kept.pop()",
    "while True:\n            for each in (1, 2, 3): kept.append(each); kept.pop()",
    "while True:\n            try: kept.append(1); kept.pop()\n            finally: pass",
    "while True:\n            with context: kept.append(1); kept.pop()",
    "while True: size(kept)",
    "for each in iter(int, 1): kept.append(each) or kept.pop()",
    "for each in iter(int, 1): pass",
    "[each for each in iter(int, 1) if each]",
    "sum(1 for each in iter(int, 1))",
)
SOURCE = """
def size(of):
    return len(of)
def run(kept, context):
    try:
        %s
    except MemoryError:
        return "caught"
"""


def tell(_, frame):
    if frame.f_code.co_filename == "loop":
        raise_in(frame, MemoryError("now"))


def not_caught(loop):
    names = {}
    exec(compile(SOURCE % loop, "loop", "exec"), names)
    for _ in range(TIMES):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.003, 0.05)
        try:
            if names["run"]([], contextlib.nullcontext()) != "caught" or sys.gettrace() is not None:
                return True
        except MemoryError:
            return True
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return False


signal.signal(signal.SIGVTALRM, tell)
print(json.dumps([loop for loop in LOOPS if not_caught(loop)]))
