"""A bundle as pieces for the store: a tar without owners and times, cut at PIECE_BYTES, each piece deflated.

The tar's bytes follow from the bundle alone.  Whoever reads pieces checks them as any upload (``archives``),
and then by the bundle's digest.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from supervisor.errors import PlatformError

PIECE_BYTES = 1 << 20  # small enough that no other writer of the store waits long for one
# Above what zlib makes of a piece that cannot be compressed.
PACKED_MOST_BYTES = PIECE_BYTES + 1024
LEVEL = 6
FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755  # the set-user-id bit and the like are never kept
FOLDER_MODE = 0o755


def pack(folder: Path, emit: Callable[[bytes], None]) -> None:
    """Give the pieces of an unpacked bundle to ``emit``, in order; OSError."""
    sink = _Pieces(emit)
    with tarfile.open(
        fileobj=cast(IO[bytes], sink), mode="w|", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="strict"
    ) as archive:
        for path, is_folder in walk(folder):
            header = tarfile.TarInfo(path)
            if is_folder:
                header.type, header.mode = tarfile.DIRTYPE, FOLDER_MODE
                archive.addfile(header)
                continue
            with open(folder / path, "rb", opener=_no_link) as file:
                status = os.fstat(file.fileno())
                header.size, header.mode = status.st_size, mode_of(status)
                archive.addfile(header, file)
    sink.finish()


def walk(folder: Path) -> Iterator[tuple[str, bool]]:
    """Every path below, sorted by its bytes, and whether it is a folder."""
    found = [
        (str((Path(base) / name).relative_to(folder)), is_folder)
        for base, folders, files in os.walk(folder)
        for names, is_folder in ((folders, True), (files, False))
        for name in names
    ]
    return iter(sorted(found, key=lambda one: one[0].encode()))


def mode_of(status: os.stat_result) -> int:
    """The mode that a bundle's file has, whatever a copy of the folder made of it."""
    return EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE


class PieceReader(io.RawIOBase):
    """The tar again, read piece by piece; PlatformError 500 for a piece that ``pack`` has not made."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._plain = b""
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, and no more than a piece has; empty at the end."""
        while self._at == len(self._plain):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._plain, self._at = _inflated(piece), 0
        end = len(self._plain) if size < 0 else self._at + size
        chunk = self._plain[self._at : end]
        self._at += len(chunk)
        return chunk


class _Pieces:
    """What tarfile writes to."""

    def __init__(self, emit: Callable[[bytes], None]) -> None:
        self._emit = emit
        self._plain = bytearray()

    def write(self, data: bytes) -> int:
        self._plain += data
        while len(self._plain) >= PIECE_BYTES:
            self._emit(zlib.compress(self._plain[:PIECE_BYTES], LEVEL))
            del self._plain[:PIECE_BYTES]
        return len(data)

    def finish(self) -> None:
        if self._plain:
            self._emit(zlib.compress(bytes(self._plain), LEVEL))


def _inflated(piece: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(piece, PIECE_BYTES + 1)
    except zlib.error:
        plain = b""
    if not 0 < len(plain) <= PIECE_BYTES or not inflater.eof or inflater.unused_data:
        raise PlatformError(
            500, "the store's copy of a bundle is damaged; deploy it again, or restore a backup"
        )
    return plain


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
