"""What tests of the log store share: records by the dozen, what a reader gets, a clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from supervisor.logs import Batch, Follower, Query, Record, read

START_NS = 1_800_000_000_000_000_000
MS = 1_000_000


def record(text: str, timestamp: int = START_NS, **fields: Any) -> Record:
    """A line of function hello in space default, unless the fields say otherwise."""
    plain: dict[str, Any] = {
        "space": "default", "name": "hello", "version": 3, "instance": "i-1", "call_id": "c-1",
        "timestamp": timestamp, "stream": "stderr", "level": "info", "text": text,
    }  # fmt: skip
    return Record(**{**plain, **fields})


def lines(count: int, first: int = 0, **fields: Any) -> list[Record]:
    """Records a ms apart, whose texts are their numbers."""
    return [record(str(n), START_NS + n * MS, **fields) for n in range(first, first + count)]


def texts(batch: Batch) -> list[str]:
    return [one.text for one in batch.records]


def everything(root: Path, name: str | None = "hello", query: Query | None = None) -> list[Record]:
    """All that a reader gets, page by page."""
    found: list[Record] = []
    cursor: str | None = None
    while True:
        batch = read(root, "default", name, query or Query(), cursor)
        found += batch.records
        cursor = batch.cursor
        if not batch.more:
            return found


def drain(follower: Follower) -> tuple[list[str], int]:
    """The texts that polls give until there is no more, and the gaps."""
    found: list[str] = []
    gap = 0
    while True:
        Clock.now += 1.0  # so each poll may look at the disk
        batch = follower.poll()
        found += texts(batch)
        gap += batch.gap
        if not batch.more and not batch.records:
            return found, gap


class Clock:
    """Seconds that pass when told; one time for all tests."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now
