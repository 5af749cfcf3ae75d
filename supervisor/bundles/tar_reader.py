"""Reading a tar: we check each header before tarfile sees it.

``archives`` has the rules.  tarfile takes some damage in the middle for the archive's end, and its releases
differ in which and in the methods that they call of a header's class.  So ``CheckedTar`` walks the blocks
itself, and hands tarfile only what every release reads alike:

1. Each header has the right checksum and plain numbers, and its content is there.
2. An extended header is short, at most EXTENDED_MOST follow each other, and none changes what the next one's
   blocks are: no sizes, no sparse files.
3. A block of zeros ends the archive.
"""

from __future__ import annotations

import io
import re
import stat
import tarfile
from collections.abc import Iterator
from typing import NoReturn

from supervisor.bundles.unpacking_limits import (
    CHUNK_BYTES,
    FORMS,
    ArchiveEntry,
    Budget,
    ByteStream,
    chunks_of,
    clean,
    refuse,
    refuse_bytes,
)
from supervisor.errors import shown

BLOCK_BYTES = tarfile.BLOCKSIZE
MAX_HEADER_BYTES = 16 * 1024  # of an extended header: paths fit, and the parser is slow on longer ones
EXTENDED_MOST = 8  # in a row: a global one, one of the file's own and two long names are usual

PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
EXTENDED_TYPES = (*PAX_TYPES, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
# Whatever size their headers declare, no content follows.
WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)

CHECKSUM = slice(148, 156)
SIZE = slice(124, 136)
# Mode, uid, gid, size, time, checksum, device numbers.
NUMBERS = (slice(100, 108), slice(108, 116), slice(116, 124), SIZE, slice(136, 148), CHECKSUM,
           slice(329, 337), slice(337, 345))  # fmt: skip
OCTAL = re.compile(rb" *([0-7]*) *(?:\0.*)?", re.DOTALL)
POSITIVE, NEGATIVE = 0o200, 0o377  # the first byte of a number in base 256

PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,4}) ")
# Records that change where the next header is.
PAX_SIZE, PAX_SPARSE = b"size", b"GNU.sparse."


class CheckedTar(io.RawIOBase):
    """The bytes of a tar, each header checked before it is handed out; PlatformError for what is wrong."""

    def __init__(self, inner: ByteStream, budget: Budget) -> None:
        self.members = 0  # headers of files, folders and what else there is
        self._inner = inner
        self._budget = budget
        limits = budget.limits
        # A header, its extended header and padding for each entry; the end of the archive.
        self._left = limits.max_bytes + limits.max_entries * 4 * BLOCK_BYTES + (1 << 20)
        self._unchecked_bytes = 0  # of content and its padding, until the next header
        self._extended = 0  # headers in a row that belong to the next one
        self._is_at_end = False

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        most = min(size, CHUNK_BYTES) if size >= 0 else CHUNK_BYTES
        if self._is_at_end:
            return self._take(most)
        if self._unchecked_bytes:
            chunk = self._take(min(most, self._unchecked_bytes))
            if not chunk:
                _refuse_damage("its end is missing")
            self._unchecked_bytes -= len(chunk)
            return chunk
        block = self._take_all(BLOCK_BYTES)
        return block + self._follow(block)

    def _take(self, most: int) -> bytes:
        chunk = self._inner.read(most)
        self._left -= len(chunk)
        if self._left < 0:
            refuse_bytes(self._budget.limits)
        self._budget.spend(0)  # looks at the clock: headers alone can take long, too
        return chunk

    def _take_all(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            chunk = self._take(size - len(taken))
            if not chunk:
                _refuse_damage("its end is missing")
            taken += chunk
        return taken

    def _follow(self, block: bytes) -> bytes:
        """Check a header; the content of an extended one."""
        if not block.strip(b"\0"):
            if self._extended:
                _refuse_damage("an extended header stands at its end")
            self._is_at_end = True
            return b""
        size = _checked_size(block)
        kind = block[156:157]
        if kind in EXTENDED_TYPES:
            return self._extended_content(kind, size)
        if kind == tarfile.GNUTYPE_SPARSE:
            refuse(f"{_name(block)} is a sparse file; pack it without --sparse")
        if kind == tarfile.AREGTYPE and block[:100].rstrip(b"\0").endswith(b"/"):
            if size or self._extended:
                _refuse_damage(f"{_name(block)} is both a file and a folder")
            kind = tarfile.DIRTYPE  # as the oldest form of tar writes it
        self.members += 1
        self._extended = 0
        self._unchecked_bytes = 0 if kind in WITHOUT_CONTENT else size + -size % BLOCK_BYTES
        return b""

    def _extended_content(self, kind: bytes, size: int) -> bytes:
        if size > MAX_HEADER_BYTES:
            refuse(f"an extended header of it declares {size} bytes; at most {MAX_HEADER_BYTES} are read")
        self._extended += 1
        if self._extended > EXTENDED_MOST:
            _refuse_damage(f"more than {EXTENDED_MOST} extended headers follow each other")
        content = self._take_all(size + -size % BLOCK_BYTES)
        if kind in PAX_TYPES:
            _check_pax(content[:size])
        return content


def _refuse_damage(why: str) -> NoReturn:
    refuse(f"it is damaged or not what it seems ({why}); {FORMS}")


def _name(block: bytes) -> str:
    return shown(block[:100].partition(b"\0")[0].decode(errors="replace"))


def _number(field: bytes) -> int:
    if field[0] in (POSITIVE, NEGATIVE):
        number = int.from_bytes(field[1:], "big")
        return number if field[0] == POSITIVE else number - (1 << 8 * (len(field) - 1))
    octal = OCTAL.fullmatch(field)
    if octal is None:
        _refuse_damage("a number in a header is none")
    return int(octal[1] or b"0", 8)


def _checked_size(block: bytes) -> int:
    """The size that a header declares, once the rest of it is right."""
    numbers = {(field.start, field.stop): _number(block[field]) for field in NUMBERS}
    blanked = block[: CHECKSUM.start] + b" " * 8 + block[CHECKSUM.stop :]
    # Some old programs add the bytes up as signed ones.
    sums = (sum(blanked), sum(byte - 256 if byte > 127 else byte for byte in blanked))
    if numbers[CHECKSUM.start, CHECKSUM.stop] not in sums:
        _refuse_damage("bad checksum")
    size = numbers[SIZE.start, SIZE.stop]
    if size < 0:
        _refuse_damage("a header declares a negative size")
    return size


def _check_pax(content: bytes) -> None:
    """Each record is well-formed, and none moves the next header."""
    at = 0
    content = content.rstrip(b"\0")
    while at < len(content):
        length = PAX_LENGTH.match(content, at)
        end = at + int(length[1]) if length else 0
        if length is None or end > len(content) or content[end - 1 : end] != b"\n":
            _refuse_damage("an extended header has no records")
        keyword, equals, _ = content[length.end() : end - 1].partition(b"=")
        if not keyword or not equals:
            _refuse_damage("an extended header has no records")
        if keyword.startswith(PAX_SPARSE):
            refuse("it has a sparse file; pack it without --sparse")
        if keyword == PAX_SIZE:
            _refuse_damage("an extended header changes a size")
        at = end


def tar_entries(stream: ByteStream, budget: Budget) -> Iterator[ArchiveEntry]:
    """The files and folders of a tar, whose bytes ``stream`` gives."""
    checked = CheckedTar(stream, budget)
    seen = 0
    # "r|" never seeks: no offset in a header sends the reader back or in a circle.
    with tarfile.open(
        fileobj=checked,
        mode="r|",
        encoding="utf-8",
        errors="strict",
        bufsize=CHUNK_BYTES,
    ) as archive:
        for member in archive:
            seen += 1
            if not (member.isreg() or member.isdir()):
                kind = _kind_of_member(member)
                refuse(f"{shown(member.name)} is {kind}; only files and folders can be deployed")
            path = clean(member.name)
            if member.isdir():
                if path:
                    budget.claim(path, "folder")
                    yield ArchiveEntry(path, None)
                continue
            if not path:
                refuse(f"the name {shown(member.name)} names no file")
            budget.claim(path, "file")
            file = archive.extractfile(member)
            assert file is not None  # it is a regular file
            yield ArchiveEntry(path, chunks_of(file, member.size, budget), bool(member.mode & stat.S_IXUSR))
    # gzip's checksum stands behind the tar's end.
    while checked.read(CHUNK_BYTES):
        pass
    if seen != checked.members:
        _refuse_damage(f"{checked.members} headers, {seen} of them read")


def _kind_of_member(member: tarfile.TarInfo) -> str:
    for is_kind, name in (
        (member.issym, "a symbolic link"),
        (member.islnk, "a hard link"),
        (member.isdev, "a device or pipe"),
    ):
        if is_kind():
            return name
    return "of an unknown kind"
