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


def test_a_rehearsal_leaves_no_module_no_descriptor_and_no_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")
