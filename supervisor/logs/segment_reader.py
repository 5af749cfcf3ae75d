"""Reading one segment: forwards, backwards, and by search.

No descriptor is kept: a file is opened for each block and closed again.  So thousands of segments cost no
descriptor, and a segment that retention deletes meanwhile simply ends.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from supervisor.logs.record_encoding import LINE_MAX_BYTES, key_of

BLOCK_BYTES = 64 * 1024
# A look at one place: enough for a line or two of usual length.
PROBE_BYTES = 4096
# Errors that pass: a lack of descriptors or memory.
PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# The ends of segments that never change again are read once and kept, some 400 bytes each.
_ENDS_KEPT = 8192


class End(NamedTuple):
    """The last whole record of a segment, and the offset behind it; sequence 0 where there is none."""

    timestamp: int
    sequence: int
    offset: int


def block(path: Path, offset: int, size: int) -> bytes:
    """Up to ``size`` bytes; empty at the end, and for a file that is gone or cannot be read.

    OSError for an error that passes: taken for an end, it would leave a hole in what is read.
    """
    try:
        # NONBLOCK and NOFOLLOW: in place of our file, no pipe hangs a reader and no link leads elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in PASSING:
            raise
        return b""
    try:
        return os.pread(descriptor, size, offset)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def forward(
    path: Path, offset: int, end: int, needle: bytes = b"", block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[int, bytes, int]]:
    """Whole lines from ``offset``, a line's start, to ``end``: (offset behind, line, lines passed over).

    A block without ``needle`` is one item: an empty line and the number of lines in the block.
    """
    # From here on the bytes are hostile.
    rest = b""
    at = offset
    while at < end:
        data = block(path, at, min(block_bytes, end - at))
        if not data:
            return
        at += len(data)
        data = rest + data
        whole = data.rfind(b"\n") + 1
        rest = data[whole:]
        # Longer than any record: its remainder fails the checksum and counts as one bad line.
        if len(rest) > LINE_MAX_BYTES:
            rest = b""
        if not whole:
            continue
        behind = at - len(data)
        if needle and data.find(needle, 0, whole) < 0:
            yield behind + whole, b"", data.count(b"\n", 0, whole)
            continue
        for line in data[: whole - 1].split(b"\n"):
            behind += len(line) + 1
            yield behind, line, 0


def backward(path: Path, end: int, needle: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """Whole lines before ``end``, last first, with the offset behind each; leaves out a torn line at the end.

    Blocks without ``needle`` give nothing.
    """
    # From here on the bytes are hostile.
    rest = b""
    is_torn = True
    at = end
    size = PROBE_BYTES  # most readers want the last lines only
    while at > 0:
        start = max(0, at - size)
        data = block(path, start, at - start)
        if len(data) < at - start:  # the file is shorter than before, or gone
            return
        at, size = start, BLOCK_BYTES
        if is_torn:
            data = data[: data.rfind(b"\n") + 1]
            is_torn = not data
        else:
            data += rest
        if is_torn:
            continue
        # A line belongs to the block where it begins; the first line here may begin in the block before.
        cut = data.find(b"\n", 0, len(data) - 1) + 1 if at else 0
        if at and not cut:
            rest = data if len(data) <= LINE_MAX_BYTES else b"\n"
            continue
        rest = data[:cut]
        if needle and data.find(needle, cut) < 0:
            continue
        behind = at + len(data)
        for line in reversed(data[cut:-1].split(b"\n")):
            yield behind, line
            behind -= len(line) + 1


def seek(path: Path, end: int, is_before: Callable[[int, int], bool]) -> End:
    """The last line for which ``is_before`` is true, and the offset behind it; all 0 for none.

    ``is_before`` takes a time and a sequence, and turns from true to false once along the segment.
    """
    start = _near(path, end, is_before)
    found = End(0, 0, start)
    for behind, line, _ in forward(path, start, end, block_bytes=2 * PROBE_BYTES):
        try:
            timestamp, sequence = key_of(line)
        except ValueError:
            continue
        if not is_before(timestamp, sequence):
            break
        found = End(timestamp, sequence, behind)
    return found


def _near(path: Path, end: int, is_before: Callable[[int, int], bool]) -> int:
    """The start of a line that is before, about a probe in front of the last such line; or 0.

    Damage sends the search towards the beginning, so it never passes the place that it looks for.
    """
    low, high = 0, end
    while high - low > PROBE_BYTES:
        middle = (low + high) // 2
        found = _first_key(path, middle, high)
        if found is not None and is_before(found[1], found[2]):
            low = found[0]
        else:
            high = middle
    return low


def _first_key(path: Path, offset: int, end: int) -> tuple[int, int, int] | None:
    """Start, time and sequence of the first whole record that begins behind ``offset``; None if too far."""
    # From here on the bytes are hostile.
    size = PROBE_BYTES
    while True:
        data = block(path, offset, min(size, end - offset))
        start = data.find(b"\n") + 1
        while start and (newline := data.find(b"\n", start)) >= 0:
            try:
                return offset + start, *key_of(data[start:newline])
            except ValueError:
                start = newline + 1
        if size > LINE_MAX_BYTES or len(data) < size:
            return None
        size *= 16


@lru_cache(_ENDS_KEPT)
def end_of(path: Path, size: int) -> End:
    """The last record within the first ``size`` bytes of a segment; kept, because they never change."""
    behind = 0
    for offset, line in backward(path, size):
        behind = behind or offset
        try:
            return End(*key_of(line), behind)
        except ValueError:
            continue
    return End(0, 0, behind)
