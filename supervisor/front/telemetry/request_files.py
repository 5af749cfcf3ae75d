"""The files of the request log, which all fronts append to: the newest is ``requests.log``.

A file that has its share of the bytes is renamed to ``requests.log.1``, the others move up, and the last one
is deleted.  One front does so at a time; the others notice that the name leads to another file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

NAME = "requests.log"
FILES = 8


class RequestFiles:
    """One process's way to them; used by one thread at a time."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """``folder`` is made when the first line comes; ``max_bytes`` is for all files together."""
        self._folder = folder
        self._path = folder / NAME
        self._file_bytes = max_bytes // FILES
        self._descriptor = -1

    def write(self, data: bytes) -> None:
        """Append whole lines; OSError."""
        self._open()
        while data:
            data = data[os.write(self._descriptor, data) :]
        if os.fstat(self._descriptor).st_size >= self._file_bytes:
            self._rotate()

    def _open(self) -> None:
        """Have the file open that the name leads to now."""
        with contextlib.suppress(FileNotFoundError):
            if self._descriptor >= 0 and os.path.samestat(self._path.stat(), os.fstat(self._descriptor)):
                return
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)

    def _rotate(self) -> None:
        lock = os.open(self._folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another front does it just now
        else:
            if self._path.stat().st_size >= self._file_bytes:  # else another front has done it
                for number in range(FILES - 1, 0, -1):
                    newer = self._folder / (f"{NAME}.{number - 1}" if number > 1 else NAME)
                    with contextlib.suppress(FileNotFoundError):
                        newer.rename(self._folder / f"{NAME}.{number}")
        finally:
            os.close(lock)
