"""The segments of a function, or of all functions of a space, and a cheap look for new ones.

A folder is listed again only when its time has changed.  Otherwise only the last segment of each writer is
looked at, because no other grows.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

from supervisor.logs.layout import Segment, checked, folder_of, names_in, segments_of
from supervisor.logs.log_record import KINDS, RecordKind

# File systems stamp folders with a clock that ticks every few ms: a folder that has just changed may change
# again without another time.
RACY_NS = 100_000_000
# A clock that is set back can make two changes look like one: list the folder anyway after this time.
LIST_ANYWAY_S = 10.0


class Catalogue:
    """The segments that there are; OSError only for a disk that cannot be read at all."""

    def __init__(
        self, root: Path, space: str, name: str | None, kinds: Collection[RecordKind] = KINDS
    ) -> None:
        """``name`` None means the whole space.  ValueError for impossible names."""
        self._kinds = kinds
        self._space = root / checked(space, "space")
        self._only = folder_of(root, space, name) if name is not None else None
        # Writer → its segments in the order of their sequences.
        self.writers: dict[str, list[Segment]] = {}
        self._folders: dict[Path, list[Segment]] = {}
        self._stamps: dict[Path, int] = {}
        self._listed_at = 0.0

    def refresh(self) -> bool:
        """Look again; whether anything was new."""
        now = time.monotonic()
        if not self._stamps or now - self._listed_at > LIST_ANYWAY_S:
            self._stamps.clear()
            self._listed_at = now
        is_new = False
        if self._only is not None:
            is_new = self._look(self._only)
        else:
            if _stamp(self._space) != self._stamps.get(self._space):
                self._stamps[self._space] = _settled(self._space)
                found = {self._space / name for name in names_in(self._space)}
                for folder in set(self._folders) - found:
                    del self._folders[folder]
                    is_new = True
                for folder in found - set(self._folders):
                    self._folders[folder] = []
            for folder in self._folders:
                is_new = self._look(folder) or is_new
        if is_new:
            self._group()
        else:
            is_new = self._measure()
        return is_new

    def _look(self, folder: Path) -> bool:
        """List a folder if it changed; whether its segments are others than before."""
        stamp = _settled(folder)
        if stamp and stamp == self._stamps.get(folder):
            return False
        # The time was read before the names: the next look sees a change in between.
        self._stamps[folder] = stamp
        found = segments_of(folder, self._kinds)
        is_new = found != self._folders.get(folder, [])
        self._folders[folder] = found
        return is_new

    def _group(self) -> None:
        writers: dict[str, list[Segment]] = {}
        for found in self._folders.values():
            for segment in found:
                writers.setdefault(segment.writer, []).append(segment)
        for segments in writers.values():
            segments.sort(key=lambda segment: segment.first_sequence)
        self.writers = writers

    def _measure(self) -> bool:
        """Read the sizes of the segments that may grow; whether one has grown."""
        is_new = False
        for segments in self.writers.values():
            last = segments[-1]
            try:
                size = last.path.lstat().st_size
            except FileNotFoundError:
                continue  # the next look at the folder notices it
            if size != last.size:
                segments[-1] = last._replace(size=size)
                is_new = True
        return is_new


def _stamp(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _settled(folder: Path) -> int:
    """The folder's time, or 0 while it cannot be relied on."""
    stamp = _stamp(folder)
    return stamp if time.time_ns() - stamp > RACY_NS else 0
