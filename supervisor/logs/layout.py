"""Where the logs are: ``ROOT/SPACE/NAME/TIME-WRITER-SEQUENCE.KIND``.

Each function has a folder.  In it each writing process has its own files for each kind of record, called
segments, so no process waits for another, and retention deletes one kind at a time.  A segment's name has
the time and sequence of its first record, and its writer.  A segment that is full, or whose process is gone,
never changes.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from supervisor.logs.log_record import KINDS, NS_PER_SECOND, RecordKind

FOLDER_MODE = 0o700
FILE_MODE = 0o600
# How much earlier a record may be than one in front of it in the same segment.  A writer whose clock is set
# back further begins another segment, so a search by time is exact with this much to spare.
DISORDER_NS = NS_PER_SECOND
NAME_MAX_CHARS = 64
# No dot and no slash: a name that matches is one folder below its parent.
_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
# Up to 0.7.0 there was one kind, ``log``, with the reports among a function's own lines.
_ENDS: dict[RecordKind, str] = {"own": "log", "platform": "platform", "reports": "reports"}
_KINDS: dict[str, RecordKind] = {end: kind for kind, end in _ENDS.items()}
_SEGMENT = re.compile(rf"([0-9a-f]{{16}})-([0-9a-f]{{12}})-([0-9a-f]{{12}})\.({'|'.join(_KINDS)})")
WRITER = re.compile(r"[0-9a-f]{12}")
_WRITER_BYTES = 6


class Segment(NamedTuple):
    """One file of one writer, and what its name says; ``size`` is in bytes, when it was listed."""

    path: Path
    space: str
    name: str
    first_ns: int
    writer: str
    first_sequence: int
    size: int
    modified_ns: int
    kind: RecordKind = "own"


def new_writer() -> str:
    """A random name for a writer."""
    return secrets.token_hex(_WRITER_BYTES)


def segment_file(first_ns: int, writer: str, first_sequence: int, kind: RecordKind = "own") -> str:
    """The name of a segment's file."""
    return f"{first_ns:016x}-{writer}-{first_sequence:012x}.{_ENDS[kind]}"


def checked(name: str, what: str) -> str:
    """``name``, if it can be a folder's; else ValueError.  The logs trust no earlier check."""
    if not _NAME.fullmatch(name):
        shown = repr(name[: NAME_MAX_CHARS + 1])
        raise ValueError(
            f"cannot use {shown} as a {what}: 1 to {NAME_MAX_CHARS} of a-z, 0-9, - and _, no - first"
        )
    return name


def folder_of(root: Path, space: str, name: str) -> Path:
    """The folder of a function, existing or not.  ValueError."""
    return root / checked(space, "space") / checked(name, "name of a function")


def names_in(folder: Path) -> list[str]:
    """The folders that can be a space or a function, by name; nothing where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def segments_of(folder: Path, kinds: Collection[RecordKind] = KINDS) -> list[Segment]:
    """The segments of a function's folder, oldest name first; nothing where it has no folder.  OSError.

    All names are read before the first size, so the size of a segment that has a successor is final.
    """
    try:
        with os.scandir(folder) as entries:
            files = sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for file in files:
        match = _SEGMENT.fullmatch(file)
        if match is None or (kind := _KINDS[match[4]]) not in kinds:
            continue
        path = folder / file
        try:
            status = path.lstat()
        except FileNotFoundError:  # retention deleted it
            continue
        first_ns, first_sequence = int(match[1], 16), int(match[3], 16)
        space, name = folder.parent.name, folder.name
        size, modified_ns = status.st_size, status.st_mtime_ns
        found.append(Segment(path, space, name, first_ns, match[2], first_sequence, size, modified_ns, kind))
    return found
