"""Which segments go: a pure function of what there is.

By age first, then by the bytes of each function, then by the bytes in all.  The last takes the oldest
segment of whoever holds most, again and again: a function that floods pays for its flood itself, and
the logs of a quiet one stay.

Each kind of record (``record.KINDS``) has its own bound, so that calls, which anybody may make, take nothing
away from what a function wrote.  In all, too: what is not their own is cut first, to a share.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.logs.layout import Segment
from supervisor.logs.log_record import NS_PER_SECOND, RecordKind

_Holder = tuple[str, str, RecordKind]

# Of the bytes in all, what reports and the like may have of all functions together: the OTHER_SHAREth part.
OTHER_SHARE = 8
# What a file takes on disk at least, whatever it holds: many small segments are not free.
DISK_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Retention:
    """How much is kept: seconds since the last record of a segment, bytes on disk.

    ``function_bytes`` are of what a function wrote, ``reports_bytes`` of each other kind.
    """

    age_s: float = 7 * 86_400
    function_bytes: int = 256 << 20
    total_bytes: int = 4 << 30
    reports_bytes: int = 16 << 20

    def of(self, kind: RecordKind) -> int:
        """The bytes of one kind that are kept of one function."""
        return self.function_bytes if kind == "own" else self.reports_bytes


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
    kept: dict[_Holder, list[Segment]] = defaultdict(list)
    for segment in sorted(segments, key=_age):
        if segment.modified_ns < oldest_ns:
            gone.append(segment)
        else:
            kept[segment.space, segment.name, segment.kind].append(segment)
    for holder, ones in kept.items():
        size = sum(map(disk_bytes, ones))
        ones.reverse()  # the oldest is the last, where it can be popped
        while size > limits.of(holder[2]):
            gone.append(ones.pop())
            size -= disk_bytes(gone[-1])
    others = {holder: ones for holder, ones in kept.items() if holder[2] != "own"}
    total = sum(disk_bytes(segment) for ones in kept.values() for segment in ones)
    other_bytes = sum(disk_bytes(segment) for ones in others.values() for segment in ones)
    over = total - limits.total_bytes
    if over > 0:
        freed = _cut(others, min(over, other_bytes - limits.total_bytes // OTHER_SHARE), gone)
        _cut(kept, over - freed, gone)
    return gone


def _cut(held: dict[_Holder, list[Segment]], over: int, gone: list[Segment]) -> int:
    """Take the oldest of whoever holds most until so many bytes are free; the bytes that are."""
    freed = 0
    order = [(-sum(map(disk_bytes, ones)), holder) for holder, ones in held.items() if ones]
    heapq.heapify(order)
    while freed < over and order:
        size, holder = order[0]
        gone.append(held[holder].pop())
        bytes_ = disk_bytes(gone[-1])
        freed += bytes_
        if held[holder]:
            heapq.heapreplace(order, (size + bytes_, holder))
        else:
            heapq.heappop(order)
    return freed


def _age(segment: Segment) -> tuple[int, int, str]:
    return segment.modified_ns, segment.first_ns, segment.writer
