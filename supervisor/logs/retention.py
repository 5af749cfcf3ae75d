"""Which segments go: a pure function of what there is.

By age first, then by the bytes of each function, then by the bytes in all.  The last takes the oldest
segment of whoever holds most, again and again: a function that floods pays for its flood itself, and
the logs of a quiet one stay.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.logs.layout import Segment
from supervisor.logs.record import NS_PER_SECOND

# What a file takes on disk at least, whatever it holds: many small segments are not free.
DISK_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Retention:
    """How much is kept: seconds since the last record of a segment, bytes on disk."""

    age_s: float = 7 * 86_400
    function_bytes: int = 256 << 20
    total_bytes: int = 4 << 30


def disk_bytes(segment: Segment) -> int:
    """What a segment counts for: its size in whole blocks, one at least."""
    return max(1, -(-segment.size // DISK_BLOCK_BYTES)) * DISK_BLOCK_BYTES


def to_delete(segments: Iterable[Segment], limits: Retention, now_ns: int) -> list[Segment]:
    """The segments over a limit, in the order in which to delete them.

    A segment is as old as its last write: one that is being written to goes for bytes only, and its
    writer then begins another.
    """
    oldest_ns = now_ns - int(limits.age_s * NS_PER_SECOND)
    gone: list[Segment] = []
    kept: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for segment in sorted(segments, key=_age):
        if segment.modified_ns < oldest_ns:
            gone.append(segment)
        else:
            kept[segment.space, segment.name].append(segment)
    held: list[tuple[int, tuple[str, str]]] = []
    for function, ones in kept.items():
        size = sum(map(disk_bytes, ones))
        ones.reverse()  # the oldest is the last, where it can be popped
        while size > limits.function_bytes:
            gone.append(ones.pop())
            size -= disk_bytes(gone[-1])
        if ones:
            held.append((-size, function))
    total = -sum(size for size, _ in held)
    heapq.heapify(held)
    while total > limits.total_bytes:
        size, function = held[0]
        gone.append(kept[function].pop())
        freed = disk_bytes(gone[-1])
        total -= freed
        if kept[function]:
            heapq.heapreplace(held, (size + freed, function))
        else:
            heapq.heappop(held)
    return gone


def _age(segment: Segment) -> tuple[int, int, str]:
    return segment.modified_ns, segment.first_ns, segment.writer
