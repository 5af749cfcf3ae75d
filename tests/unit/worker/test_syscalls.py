"""``make_heap_last`` leaves room at the end of the heap that all cells share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# As in a zygote: glibc grows the heap up to the border of a huge page, and then asks for a huge page.
TUNABLES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
HOST = Path("/sys/kernel/mm/transparent_hugepage/enabled")
NEARLY_AT_ITS_END = """
import ctypes
from worker import _syscalls

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.mallinfo2.restype = ctypes.c_void_p, _syscalls._HeapInfo
while libc.mallinfo2().left > 100 << 10:
    libc.malloc(ctypes.c_size_t(32 << 10))
print(libc.mallinfo2().left, _syscalls.make_heap_last(), libc.mallinfo2().left, _syscalls.make_heap_last())
"""


def test_a_heap_that_is_nearly_used_up_is_made_to_last_for_what_a_worker_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NEARLY_AT_ITS_END],
        env={**os.environ, **TUNABLES},
        capture_output=True,
        text=True,
        check=True,
    )
    before, said, after, again = map(int, done.stdout.split())
    assert before <= 100 << 10, "the control: a worker would soon grow the heap by a huge page"
    assert said == after == again, "a heap with enough room is left alone"
    if HOST.exists() and "[madvise]" in HOST.read_text():  # else the heap grows in small pages
        assert after >= 1 << 20
