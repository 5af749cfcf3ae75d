"""The heap that all cells share: it has room at its end, and no free block before that."""

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

WITH_FREE_BLOCKS = """
import ctypes
from worker import _syscalls

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
malloc = lambda size: libc.malloc(ctypes.c_size_t(size))

def freed():
    # Every other block, so that none grows together with its neighbour.
    blocks = [malloc(size) for size in (40, 200, 600, 1000, 3000) for _ in range(60)]
    for block in blocks[::2]:
        libc.free(block)
    return max(blocks)

def below(end):
    return sum(malloc(size) < end for size in (40, 200, 600, 1000, 3000))

unfilled = below(freed())
end = freed()
_syscalls.fill_heap()
print(unfilled, below(end))
"""


def test_what_is_allocated_after_a_filling_lies_behind_all_that_was_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_FREE_BLOCKS], capture_output=True, text=True, check=True
    )
    unfilled, filled = map(int, done.stdout.split())
    assert unfilled, "the control: free blocks between others are used first"
    assert not filled


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
