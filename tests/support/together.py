"""Calls at once, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

DEADLINE_SECONDS = 60.0


def together(calls: Sequence[Callable[[], T]], seconds: float = DEADLINE_SECONDS) -> list[T]:
    """The results of all calls, which start at once, in the order given; the first exception comes out."""
    with ThreadPoolExecutor(max(1, len(calls))) as threads:
        futures = [threads.submit(call) for call in calls]
        return [future.result(seconds) for future in futures]
