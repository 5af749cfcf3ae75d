"""The segment to which one process writes one function's lines: opened, checked, rotated, repaired.

A line is on disk as a whole or not at all.  A write that fails in the middle of a line (a full disk) is cut
back to the last whole line; where even that fails, another segment begins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

from supervisor.logs.layout import DISORDER_NS, FILE_MODE, FOLDER_MODE, segment_file
from supervisor.logs.log_record import RecordKind
from supervisor.logs.record_encoding import key_of
from supervisor.logs.writing.backlog import Chunk

SEGMENT_BYTES = 8 << 20
# Retention by age deletes whole segments: a line stays at most this much longer.
SEGMENT_AGE_S = 86_400.0
# Names tried for one segment; a name is taken by a torn segment that could not be repaired.
NAMES_MAX = 16


class SegmentWriter:
    """Writes the lines of one function and kind; used by one thread."""

    def __init__(
        self, folder: Path, writer: str, segment_bytes: int, segment_age_s: float, kind: RecordKind = "own"
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segment_age_s = segment_age_s
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0
        self._newest_ns = 0
        self._began_at = 0.0
        self.used_at = 0.0  # monotonic, of the last try

    def put(self, chunk: Chunk) -> int:
        """Append lines and take those that are on disk out of the chunk; the bytes written.  OSError."""
        self.used_at = time.monotonic()
        self._prepare(chunk)
        written = os.write(self._descriptor, b"".join(chunk.lines))
        whole = count = 0
        for line in chunk.lines:
            if whole + len(line) > written:
                break
            whole += len(line)
            count += 1
        self._size += whole
        if count < len(chunk.lines):
            times = [key_of(line[:-1])[0] for line in chunk.lines]
            self._newest_ns = max(self._newest_ns, *times[:count], 0)
            chunk.oldest_ns = min(times[count:])
        else:
            self._newest_ns = max(self._newest_ns, chunk.newest_ns)
        del chunk.lines[:count]
        chunk.size -= whole
        if written > whole:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError:
                self._leave()  # readers pass over the torn line
        return whole

    def close(self) -> None:
        """Give the descriptor back; the next ``put`` opens the segment again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _prepare(self, chunk: Chunk) -> None:
        """Open a segment to which this chunk may be appended.  OSError."""
        if self._path is not None and not self._is_full(chunk):
            if self._descriptor < 0:
                with contextlib.suppress(FileNotFoundError):  # retention deleted it: begin another
                    self._descriptor = os.open(
                        self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                    )
            if self._descriptor >= 0:
                # In a deleted file our lines would be lost; with another size somebody else wrote to it.
                status = os.fstat(self._descriptor)
                if status.st_nlink and status.st_size == self._size:
                    return
        self._leave()
        self._begin(chunk)

    def _is_full(self, chunk: Chunk) -> bool:
        return (
            self._size >= self._segment_bytes
            or time.monotonic() - self._began_at > self._segment_age_s
            or chunk.oldest_ns < self._newest_ns - DISORDER_NS
        )

    def _leave(self) -> None:
        self.close()
        self._path = None

    def _begin(self, chunk: Chunk) -> None:
        first_ns, first_sequence = key_of(chunk.lines[0][:-1])
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        for attempt in range(NAMES_MAX):
            path = self._folder / segment_file(first_ns + attempt, self._writer, first_sequence, self._kind)
            try:
                self._descriptor = os.open(path, flags, FILE_MODE)
                break
            except FileNotFoundError:
                self._folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            except FileExistsError:
                continue  # ours, with nothing but a torn line that could not be cut off
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._folder))
        self._path, self._size = path, 0
        self._newest_ns = 0
        self._began_at = time.monotonic()
