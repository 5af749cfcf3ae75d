"""``worker.sandbox.warmup`` leaves nothing behind, and an unusual library does no harm."""

from __future__ import annotations

import subprocess
import sys

from tests.support.server import REPOSITORY

PROGRAM = """
import os, sys, types

class Moody(types.ModuleType):
    def __getattr__(self, name):
        asked.append(name)
        raise RuntimeError(name)

asked = []
sys.modules["numpy"] = Moody("numpy")
from worker.sandbox import warmup

def state():
    return set(sys.modules), sorted(os.listdir("/proc/self/fd")), dict(os.environ), os.getcwd(), sys.path[:]

warmup.rehearse()  # it imports modules, which stay
before = state()
warmup.rehearse()
assert state() == before, (state(), before)
assert asked == ["arange"] * (2 * warmup.ROUNDS), asked
assert "warmup" not in sys.modules
print("the end")
"""


# After the import of a function with ``fresh``: what the author and the import have left is there after it.
AFTER_AN_IMPORT = """
import sys
from function import _seam
from worker.sandbox import warmup
from worker.serve.limit_watch import LastRefusal

class Stream:
    def write(self, text):
        raise SystemExit("the author's code ran")
    flush = write

_seam.CurrentValues.secrets, _seam.CurrentValues.variables = {"key": "secret"}, {"name": 1}
LastRefusal.met = 3
kept, sys.stdout = sys.stdout, Stream()
warmup.rehearse_a_call(lambda event: {"body": {}})
sys.stdout = kept
assert (_seam.CurrentValues.secrets, _seam.CurrentValues.variables) == ({"key": "secret"}, {"name": 1})
assert LastRefusal.met == 3, LastRefusal.met
assert _seam.current.get() is None
print("the end")
"""


def test_ahead_of_a_call_with_fresh_nothing_of_the_import_is_lost_and_no_code_of_the_authors_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTER_AN_IMPORT], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


def test_a_rehearsal_leaves_no_module_no_descriptor_and_no_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")
