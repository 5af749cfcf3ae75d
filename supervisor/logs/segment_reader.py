"""Reading one segment: forwards, backwards, and by search.

No descriptor is kept: a file is opened for a block and closed, so thousands of segments cost none, and
one that retention removed meanwhile simply has no more to give.
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
# A look at one place: a line or two of usual length.
PROBE_BYTES = 4096
# A lack of descriptors or memory, which passes.
PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# The ends of segments that do not change any more are read once; some 400 bytes each.
_ENDS_KEPT = 8192


class End(NamedTuple):
    """The last whole record of a segment, and the offset behind it; sequence 0 where there is none."""

    timestamp: int
    sequence: int
    offset: int


def block(path: Path, offset: int, size: int) -> bytes:
    """Up to ``size`` bytes; empty at the end, of a file that is gone, and of one that cannot be read.

    OSError where it is not the file's fault: taken for an end, that would be a hole in what is read.
    """
    try:
        # NONBLOCK and NOFOLLOW: what is no regular file of ours must not hang a reader or lead elsewhere.
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

    A block in which ``needle`` does not occur is one item with an empty line and its number of lines.
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
        # Longer than any record: what is left of it fails its checksum, and is one bad line.
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
    """Whole lines before ``end``, last first, with the offset behind each; what is torn at the end is left.

    Blocks in which ``needle`` does not occur give nothing.
    """
    # From here on the bytes are hostile.
    rest = b""
    is_torn = True
    at = end
    size = PROBE_BYTES  # the last lines are usually all that is wanted
    while at > 0:
        start = max(0, at - size)
        data = block(path, start, at - start)
        if len(data) < at - start:  # shorter than it was, or gone
            return
        at, size = start, BLOCK_BYTES
        if is_torn:
            data = data[: data.rfind(b"\n") + 1]
            is_torn = not data
        else:
            data += rest
        if is_torn:
            continue
        # A line belongs to the block where it begins; the first of this one may begin in the one before.
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
    """The last line that ``is_before``, and the offset behind it; sequence 0 and offset 0 for none.

    ``is_before`` is asked for times and sequences and turns from true to false once.
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
    """The start of a line that is before, a probe or so in front of the last that is; or 0.

    Damaged places send the search towards the beginning, so it never passes what it looks for.
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
    """Start, time and sequence of the first whole record that begins behind ``offset``; None if far off."""
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
    """The end of a segment that has, or had, ``size`` bytes: those never change, so it is kept."""
    behind = 0
    for offset, line in backward(path, size):
        behind = behind or offset
        try:
            return End(*key_of(line), behind)
        except ValueError:
            continue
    return End(0, 0, behind)
