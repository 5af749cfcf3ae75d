"""Which segments are deleted: a pure function of the segments that there are.

By age first, then by the bytes of each function, then by the bytes of all functions.  The last step takes the
oldest segment of the function that has most, again and again: a function that floods pays for its flood, and
the logs of a quiet function stay.

Each kind of record (``log_record.KINDS``) has its own bound, so that the reports of calls, which anybody may
make, never push out what a function wrote.  The same holds for all functions together: other kinds than the
functions' own lines are cut to a share first.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.logs.layout import Segment
from supervisor.logs.log_record import NS_PER_SECOND, RecordKind

_Holder = tuple[str, str, RecordKind]

# Other kinds than the functions' own lines may have the total divided by this, all functions together.
OTHER_SHARE = 8
# A file takes at least this much on disk: many small segments are not free.
DISK_BLOCK_BYTES = 4096


class Retention(NamedTuple):
    """How much is kept: seconds since the last record of a segment, and bytes on disk.

    ``function_bytes`` bounds what a function wrote, ``reports_bytes`` each other kind of it.
    """

    age_s: float = 7 * 86_400
    function_bytes: int = 256 << 20
    total_bytes: int = 4 << 30
    reports_bytes: int = 16 << 20

    def of(self, kind: RecordKind) -> int:
        """The bytes of one kind that are kept of one function."""
        return self.function_bytes if kind == "own" else self.reports_bytes


def disk_bytes(segment: Segment) -> int:
    """The size of a segment in whole blocks, at least one."""
    return max(1, -(-segment.size // DISK_BLOCK_BYTES)) * DISK_BLOCK_BYTES


def to_delete(segments: Iterable[Segment], limits: Retention, now_ns: int) -> list[Segment]:
    """The segments over a limit, in the order in which to delete them.

    A segment is as old as its last write.  So one that is being written to is deleted for its bytes only, and
    its writer then begins another one.
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
        ones.reverse()  # the oldest is last, so that pop takes it
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
    """Take the oldest segment of the largest holder until ``over`` bytes are free; the bytes freed."""
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
