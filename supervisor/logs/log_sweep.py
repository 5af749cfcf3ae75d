"""Deleting logs: those over the limits of retention, and those of functions that are gone.

Several processes may sweep at once while others read and write.  A process that has a deleted segment open
keeps all of it, a reader takes a missing segment for the end, and a writer begins another one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from supervisor.logs.layout import Segment, checked, folder_of, names_in, segments_of
from supervisor.logs.log_record import NS_PER_SECOND
from supervisor.logs.retention import Retention, disk_bytes, to_delete

# A front may still write lines of a function that was just deleted, or already know one that was just made.
STRAY_AFTER_S = 3600.0
# A writer that begins a segment meanwhile makes the folder again: then we try again.
REMOVALS_MAX = 3


class Swept(NamedTuple):
    """The number of segments that were deleted, and their bytes on disk."""

    segments: int
    bytes: int


def sweep(root: Path, limits: Retention, known: Set[tuple[str, str]] | None = None) -> Swept:
    """Delete what is over the limits.  Blocks; call it in a thread, about once a minute.  OSError.

    ``known`` holds the (space, name) of all functions, which the caller reads from the store first.  The logs
    of any other function are deleted once nobody has written to them for STRAY_AFTER_S.
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
    """Delete the logs of a function.  ValueError for an impossible name, OSError.

    The fronts forget the function first (``Writer.forget``).  Should one write to it all the same, ``sweep``
    deletes that later.
    """
    folder = folder_of(root, space, name)
    for _ in range(REMOVALS_MAX):
        for segment in segments_of(folder):
            segment.path.unlink(missing_ok=True)
        if _remove_empty(folder):
            break
    _remove_empty(folder.parent)


def delete_space(root: Path, space: str) -> None:
    """Delete the logs of all functions of a space.  ValueError for an impossible name, OSError."""
    folder = root / checked(space, "space")
    for name in names_in(folder):
        delete(root, space, name)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> bool:
    with contextlib.suppress(OSError):  # it is not empty, or another process removed it
        folder.rmdir()
    return not folder.exists()
