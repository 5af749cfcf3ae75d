"""Deleting logs: what retention says, and what belonged to a function that is gone.

Several processes may sweep at once, under readers and writers: an unlinked segment is complete for
whoever has it open, a reader takes a missing one for the end, and a writer begins another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from supervisor.logs.layout import Segment, folder_of, names_in, segments_of
from supervisor.logs.log_record import NS_PER_SECOND
from supervisor.logs.retention import Retention, disk_bytes, to_delete

# A front may still write lines of a function that was just deleted, or know one that was just made.
STRAY_AFTER_S = 3600.0
# A writer that is just making a segment in the folder makes the folder again, and we try again.
REMOVALS_MAX = 3


class Swept(NamedTuple):
    """What was deleted: segments, and bytes on disk."""

    segments: int
    bytes: int


def sweep(root: Path, limits: Retention, known: Set[tuple[str, str]] | None = None) -> Swept:
    """Delete what is over the limits.  Blocks; call it in a thread, once a minute or so.  OSError.

    ``known`` are the (space, name) that exist: the logs of others go once nobody has written to them
    for STRAY_AFTER_S.  It is read from the store before this is called.
    """
    now_ns = time.time_ns()
    kept: list[Segment] = []
    gone: list[Segment] = []
    folders = [(space, name) for space in names_in(root) for name in names_in(root / space)]
    for space, name in folders:
        found = segments_of(root / space / name)
        is_stray = known is not None and (space, name) not in known
        newest_ns = max((segment.modified_ns for segment in found), default=0)
        if is_stray and now_ns - newest_ns > STRAY_AFTER_S * NS_PER_SECOND:
            gone += found
        else:
            kept += found
    gone += to_delete(kept, limits, now_ns)
    for segment in gone:
        segment.path.unlink(missing_ok=True)
    for space, name in folders:
        _remove_empty(root / space / name)
    for space in {space for space, _ in folders}:
        _remove_empty(root / space)
    return Swept(len(gone), sum(map(disk_bytes, gone)))


def delete(root: Path, space: str, name: str) -> None:
    """Delete the logs of a function.  ValueError for a name that cannot be one, OSError.

    Fronts that write to it forget it first (``Writer.forget``); what one writes after all is a stray.
    """
    folder = folder_of(root, space, name)
    for _ in range(REMOVALS_MAX):
        for segment in segments_of(folder):
            segment.path.unlink(missing_ok=True)
        if _remove_empty(folder):
            break
    _remove_empty(folder.parent)


def _remove_empty(folder: Path) -> bool:
    with contextlib.suppress(OSError):  # not empty, or somebody was quicker
        folder.rmdir()
    return not folder.exists()
