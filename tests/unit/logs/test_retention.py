"""Which segments go, as tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.logs import Retention
from supervisor.logs.layout import Segment
from supervisor.logs.log_record import NS_PER_SECOND, RecordKind
from supervisor.logs.retention import to_delete

NOW_NS = 1000 * NS_PER_SECOND
K = 4096


def segment(name: str, written_s: int, blocks: int = 1, kind: RecordKind = "own") -> Segment:
    written_ns = written_s * NS_PER_SECOND
    path = Path(f"{name}{written_s}{kind}")
    return Segment(path, "s", name, written_ns, "w", 1, blocks * K, written_ns, kind)


A1, A2, A3 = segment("a", 100), segment("a", 200), segment("a", 300)
B1, B9 = segment("b", 50), segment("b", 900, 3)
EMPTY = segment("a", 400, 0)
R1, R2 = segment("a", 10, 1, "reports"), segment("a", 500, 1, "reports")
F1, F2 = segment("a", 20, 1, "platform"), segment("b", 500, 8, "platform")
WIDE = Retention(10_000, 1 << 40, 1 << 40)


@pytest.mark.parametrize(
    ("segments", "limits", "gone"),
    [
        ([], WIDE, []),
        ([A1, A2, B1], WIDE, []),
        ([A2, A1, A3], Retention(750, 1 << 40, 1 << 40), [A1, A2]),
        ([A2, A1, A3], Retention(900, 1 << 40, 1 << 40), []),
        ([A3, A1, A2, B1], Retention(10_000, 2 * K, 1 << 40), [A1]),
        ([A1, A2, A3, B1], Retention(10_000, 0, 1 << 40), [B1, A1, A2, A3]),
        # An empty file takes a block too.
        ([A1, EMPTY], Retention(10_000, K, 1 << 40), [A1]),
        # In all: the flood pays, not the quiet function with the older record.
        ([A1, A2, A3, B1], Retention(10_000, 1 << 40, 3 * K), [A1]),
        ([A1, A2, A3, B1], Retention(10_000, 1 << 40, 2 * K), [A1, A2]),
        ([A1, B9], Retention(10_000, 1 << 40, K), [B9]),
        ([A1, B1], Retention(10_000, 1 << 40, 0), [A1, B1]),
        # Each kind has its own bound, and age is the same for all.
        ([R1, R2, A1], Retention(10_000, K, 1 << 40, K), [R1]),
        ([R1, F1, A1, A2], Retention(10_000, K, 1 << 40, 0), [R1, F1, A1]),
        ([R1, F1, A1], Retention(950, 1 << 40, 1 << 40), [R1, F1]),
        # In all: what is not a function's own goes first, whoever has it, but for an eighth of the bytes.
        ([B9, A1, F2, R2], Retention(10_000, 1 << 40, 5 * K, 1 << 40), [F2]),
        ([A1, A2, A3, R1], Retention(10_000, 1 << 40, 3 * K, 1 << 40), [R1]),
        ([*(segment("a", n) for n in range(8)), R1], Retention(10_000, 1 << 40, 8 * K), [segment("a", 0)]),
    ],
)
def test_what_is_over_a_limit_goes_oldest_first(segments, limits, gone):
    assert sorted(to_delete(segments, limits, NOW_NS)) == sorted(gone)


def test_a_segment_is_deleted_once_for_all_its_reasons():
    assert to_delete([A1, A2], Retention(850, K, 0), NOW_NS) == [A1, A2]
