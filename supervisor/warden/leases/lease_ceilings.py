"""The operator's ceilings over what a front asks for with a lease."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.function_limits import FILES, MIB, open_files_within
from supervisor.link_messages import LeaseRequest
from worker.message_fields import INT_MOST


def within(lease: LeaseRequest, ceilings: Mapping[str, Any]) -> LeaseRequest:
    """The request with nothing above the ceilings (``supervisor.settings.declarations``).

    Cut, not refused: right after they were lowered, an honest front still asks under those of a moment ago.
    """
    tie = lease.tie
    fresh = int(tie.is_fresh)  # the process that calls are forked from is beside theirs
    processes = min(tie.processes, ceilings["processes"] + fresh)
    open_files = min(tie.open_files, ceilings["open_files"])
    cut = tie.replaced(
        tmp_bytes=min(tie.tmp_bytes, ceilings["tmp"] * MIB),
        memory_bytes=min(tie.memory_bytes, ceilings["memory"] * MIB),
        open_files=open_files_within(open_files, processes - fresh, ceilings.get(FILES, INT_MOST)),
        processes=processes,
        cpu=min(tie.cpu, ceilings["cpu"]),
    )
    return lease.replaced(
        tie=cut,
        max_instances=min(lease.max_instances, ceilings["max_instances"]),
        network="none" if ceilings["network"] == "none" else lease.network,
    )
