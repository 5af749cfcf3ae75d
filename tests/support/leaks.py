"""Counts that must be the same before and after: descriptors, children, mounts, network namespaces."""

from __future__ import annotations

from pathlib import Path

from tests.support.descriptors import open_in
from tests.support.eventually import SECONDS, became
from tests.support.processes import children_of, fronts_of


def counts(warden_pid: int) -> dict[str, int]:
    """What a server holds now."""
    fronts = fronts_of(warden_pid)
    return {
        "warden descriptors": open_in(warden_pid),
        "front descriptors": sum(open_in(pid) for pid in fronts),
        "warden children": len(children_of(warden_pid)),
        "fronts": len(fronts),
        "host mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
    }


def wait_for(warden_pid: int, baseline: dict[str, int], tolerance: int) -> dict[str, int]:
    """The excess over the baseline once it is within the tolerance, or at the deadline.

    What is let go is reaped a moment later: the counts are read until they have settled.
    """
    excess: dict[str, int] = {}

    def is_within() -> bool:
        nonlocal excess
        now = counts(warden_pid)
        excess = {
            name: now[name] - baseline[name] for name in baseline if now[name] - baseline[name] > tolerance
        }
        return not excess

    became(is_within, SECONDS)
    return excess
