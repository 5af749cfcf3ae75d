"""Waiting until a file says something: inotify wakes the reader at each write."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

IN_MODIFY = 0x2
READ_BYTES = 4096

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def _watch(path: Path) -> Iterator[int]:
    """A descriptor that can be read after each write to the file."""
    descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        if _libc.inotify_add_watch(descriptor, os.fsencode(path), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for_text(path: Path, start: int, holds: Callable[[str], bool], seconds: float) -> bool:
    """Whether ``holds`` of the file's text from byte ``start`` on becomes true before the deadline."""
    deadline = time.monotonic() + seconds
    with _watch(path) as descriptor, path.open("rb") as file:
        file.seek(start)
        text = file.read()
        while not holds(text.decode(errors="replace")):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            if select.select([descriptor], [], [], left_s)[0]:
                os.read(descriptor, READ_BYTES)
            text += file.read()
    return True
