"""Which segments go, as tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.logs import Retention
from supervisor.logs.layout import Segment
from supervisor.logs.record import NS_PER_SECOND
from supervisor.logs.retention import to_delete

NOW_NS = 1000 * NS_PER_SECOND
K = 4096


def segment(name: str, written_s: int, blocks: int = 1) -> Segment:
    written_ns = written_s * NS_PER_SECOND
    return Segment(Path(f"{name}{written_s}"), "s", name, written_ns, "w", 1, blocks * K, written_ns)


A1, A2, A3 = segment("a", 100), segment("a", 200), segment("a", 300)
B1, B9 = segment("b", 50), segment("b", 900, 3)
EMPTY = segment("a", 400, 0)
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
    ],
)
def test_what_is_over_a_limit_goes_oldest_first(segments, limits, gone):
    assert sorted(to_delete(segments, limits, NOW_NS)) == sorted(gone)


def test_a_segment_is_deleted_once_for_all_its_reasons():
    assert to_delete([A1, A2], Retention(850, K, 0), NOW_NS) == [A1, A2]
