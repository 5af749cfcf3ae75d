"""The file of a backup: a magic line, a format, frames, and a checksum of all of it.

    cellblock backup\\n | format (4) | frame … | frame
    frame: kind (1) | length (4) | payload

The frames are one HEADER (JSON), at most one KEY, any number of ROWS (msgpack: a table, its columns, rows of
them), and END with the SHA-256 of every byte before it.  Nothing follows END.

A reader believes nothing before ``verified`` has read the whole file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import msgpack

from supervisor.errors import ConfigurationError, shown

MAGIC = b"cellblock backup\n"
FORMAT = 1
HEADER, KEY, ROWS, END = b"H", b"K", b"R", b"E"
# A frame holds rows of some MiB; one row is at most what one request could deploy, or a piece of a bundle.
FRAME_MOST_BYTES = 256 << 20
DIGEST_BYTES = hashlib.sha256().digest_size
CHUNK_BYTES = 1 << 20
_NUMBER_BYTES = 4

Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class Header:
    """What a backup says of itself.

    ``schema`` is the revision of the store's tables; ``key`` has the ids of the sealing keys that it needs,
    with commas between them (``ring.key_ring``).
    ``rows`` is the number of rows of each table.
    """

    schema: str
    server: str
    made_at: str
    key: str | None
    rows: dict[str, int]

    def encoded(self) -> bytes:
        """Its bytes in a frame."""
        return json.dumps(asdict(self), sort_keys=True).encode()


@dataclass(frozen=True)
class Frame:
    """One frame, END excepted."""

    kind: bytes
    payload: bytes


class FrameWriter:
    """Writes the frames of one file, and counts their bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes_written = 0
        self._write(MAGIC + FORMAT.to_bytes(_NUMBER_BYTES, "big"))

    def frame(self, kind: bytes, payload: bytes) -> None:
        """Write a frame; ValueError for one that no reader would take."""
        if len(payload) > FRAME_MOST_BYTES:
            raise ValueError(f"a frame of {len(payload)} bytes")
        self._write(kind + len(payload).to_bytes(_NUMBER_BYTES, "big") + payload)

    def rows(self, table: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Write rows of a table."""
        self.frame(ROWS, msgpack.packb([table, columns, rows]))

    def end(self) -> None:
        """Write the checksum."""
        self.frame(END, self._digest.digest())

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.bytes_written += len(data)


def verified(file: IO[bytes], path: Path, progress: Progress) -> Header:
    """Read the whole file and check it; its header.  ConfigurationError for damage and newer formats."""
    header: Header | None = None
    for frame in frames(file, path, progress):
        if frame.kind == HEADER:
            header = _header(frame.payload, path)
    if header is None:
        raise damaged(path, "it has no header")
    return header


def frames(file: IO[bytes], path: Path, progress: Progress) -> Iterator[Frame]:
    """The frames from the file's beginning on; the last one comes only if the checksum is right."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    digest = hashlib.sha256()

    def read(count: int) -> bytes:
        data = file.read(count)
        if len(data) != count:
            raise damaged(path, "it ends too early; copy it again")
        return data

    start = file.read(len(MAGIC))
    if start != MAGIC:
        raise ConfigurationError(f"cannot restore {path}: it is no backup, or is damaged at its beginning")
    number = read(_NUMBER_BYTES)
    if (found := int.from_bytes(number, "big")) != FORMAT:
        raise ConfigurationError(
            f"cannot restore {path}: its format is {found}, and this version knows {FORMAT} only; restore it "
            "with the version that made it, or with a newer one"
        )
    digest.update(start + number)
    before: Frame | None = None
    while True:
        head = read(1 + _NUMBER_BYTES)
        kind, length = head[:1], int.from_bytes(head[1:], "big")
        if kind not in (HEADER, KEY, ROWS, END) or length > min(FRAME_MOST_BYTES, size):
            raise damaged(path, "what should be a part of it is none")
        payload = read(length)
        if kind == END:
            if payload != digest.digest() or file.read(1):
                raise damaged(path, "its checksum is wrong")
            break
        digest.update(head + payload)
        if before is not None:
            yield before
        before = Frame(kind, payload)
        progress(file.tell(), size)
    if before is not None:
        yield before


def read_rows(frame: Frame) -> tuple[str, list[str], list[list[Any]]]:
    """The table, the columns and the rows of a frame that ``verified`` has seen."""
    table, columns, rows = msgpack.unpackb(frame.payload)
    return table, columns, rows


def damaged(path: Path, why: str) -> ConfigurationError:
    """The refusal of a file that is not as it was written."""
    return ConfigurationError(f"cannot restore {path}: it is damaged: {why}; use another copy")


def _header(payload: bytes, path: Path) -> Header:
    try:
        return Header(**json.loads(payload))
    except (ValueError, TypeError) as error:
        raise damaged(path, f"its header cannot be read ({shown(str(error))})") from None
