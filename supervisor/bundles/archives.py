"""Reading an upload of a function: Python text, a zip, a tar or a tar.gz.

Every byte here is hostile.  Rules:

1. Libraries parse and never extract.  A name that does not lead to a place below our folder is refused and
   never repaired.
2. Only regular files and folders exist.  One bit of an archive's modes is read: whether a file's owner may
   execute it.  Owners and times are ignored.
3. We count what comes out, never what the archive declares; reading stops at the limit.
4. Memory is bounded before a library builds anything (MAX_HEADER_BYTES, the count of zip signatures), time
   by TIME_LIMIT_S.

Refusals are PlatformError: 413 for too much, 422 for everything else.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, NoReturn

from supervisor.errors import PlatformError, shown

CHUNK_BYTES = 64 * 1024
MAX_DEPTH = 32  # folders and file name; deeper trees are attacks on path limits, not programs
MAX_PART_BYTES = 255  # NAME_MAX of every file system we may land on
MAX_PATH_BYTES = 1024
MAX_HEADER_BYTES = 16 * 1024  # of a tar's extended header: paths fit, and the parser is slow on longer ones
TIME_LIMIT_S = 60.0

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
ZIP_LISTED = b"PK\x01\x02"  # before each entry of a zip's directory
GZIP_MAGIC = b"\x1f\x8b"
OTHER_MAGIC = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}
FORMS = "send the text of handler.py in UTF-8, or a zip, tar or tar.gz with handler.py at its root"

# What the parsers raise for damaged input, beyond their own errors.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    OSError,  # gzip.BadGzipFile among them
    EOFError,
    NotImplementedError,  # a compression or zip feature that Python does not know
    RecursionError,  # a chain of tar headers that each announce another
    RuntimeError,
    ValueError,  # names that do not decode among them
    IndexError,
    KeyError,
    OverflowError,
)


@dataclass(frozen=True)
class BundleLimits:
    """The most that may come out: bytes of all files together, and the number of files and folders."""

    max_bytes: int
    max_entries: int


@dataclass(frozen=True)
class ArchiveEntry:
    """A file or a folder; ``chunks`` gives a file's content once, before the next entry is asked for."""

    path: str
    chunks: Iterator[bytes] | None
    is_executable: bool = False


@dataclass
class _Budget:
    """What an upload has used so far, and which names are taken."""

    limits: BundleLimits
    now: Callable[[], float]
    ends_at: float = 0.0
    bytes_used: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ends_at = self.now() + TIME_LIMIT_S

    def spend(self, count: int) -> None:
        self.bytes_used += count
        if self.bytes_used > self.limits.max_bytes:
            refuse_bytes(self.limits)
        if self.now() > self.ends_at:
            refuse(f"it takes longer than {TIME_LIMIT_S:.0f} s to unpack; make it simpler")

    def claim(self, path: str, kind: str) -> None:
        """Take the path and the folders above it; refuse a path that is taken, and too many of them."""
        self.spend(0)
        parts = path.split("/")
        for depth in range(1, len(parts)):
            self._claim_one("/".join(parts[:depth]), "folder")
        self._claim_one(path, kind)

    def _claim_one(self, path: str, kind: str) -> None:
        taken = self.kinds.get(path)
        if taken is None:
            self.kinds[path] = kind
            if len(self.kinds) > self.limits.max_entries:
                refuse_entries(self.limits)
        elif taken != kind:
            refuse(f"{shown(path)} is both a file and a folder in it")
        elif kind == "file":
            refuse(f"{shown(path)} is in it twice")


def entries(
    source: bytes, limits: BundleLimits, now: Callable[[], float] = time.monotonic
) -> Iterator[ArchiveEntry]:
    """The files and folders of an upload; PlatformError 413 or 422.

    An archive need not name the folder of a file.
    """
    if len(source) > limits.max_bytes:
        refuse_bytes(limits)
    budget = _Budget(limits, now)
    if source.startswith(ZIP_MAGIC):
        found = _zip(source, budget)
    elif source.startswith(GZIP_MAGIC):
        found = _tar(gzip.GzipFile(fileobj=io.BytesIO(source)), budget)
    elif source[257:262] == b"ustar":
        found = _tar(io.BytesIO(source), budget)
    else:
        found = _text(source, budget)
    yield from _checked(found, budget)


def entries_of_tar(stream: io.RawIOBase, limits: BundleLimits) -> Iterator[ArchiveEntry]:
    """The files and folders of a tar that is read as it is needed; else like ``entries``."""
    budget = _Budget(limits, time.monotonic)
    yield from _checked(_tar(stream, budget), budget)


def _checked(found: Iterator[ArchiveEntry], budget: _Budget) -> Iterator[ArchiveEntry]:
    with _damage_refused():
        yield from found
    kind = budget.kinds.get("handler.py")
    if kind != "file":
        refuse(_no_handler(budget.kinds))


def refuse(why: str, details: dict[str, Any] | None = None) -> NoReturn:
    """The 422 of a bundle that cannot be used."""
    raise PlatformError(422, f"cannot use the bundle: {why}", details)


def refuse_bytes(limits: BundleLimits) -> NoReturn:
    """The 413 of a bundle that is too large."""
    raise PlatformError(
        413,
        f"cannot use the bundle: it is more than {limits.max_bytes} bytes unpacked; "
        "leave out what the function does not need, or ask the operator to raise bundle_max_bytes",
        {"limit": limits.max_bytes},
    )


def refuse_entries(limits: BundleLimits) -> NoReturn:
    """The 413 of a bundle with too many files and folders."""
    raise PlatformError(
        413,
        f"cannot use the bundle: it has more than {limits.max_entries} files and folders; "
        "leave out what the function does not need, or ask the operator to raise bundle_max_entries",
        {"limit": limits.max_entries},
    )


def clean(name: str) -> str:
    """A name in an archive as a relative path, ``""`` for the root itself; PlatformError 422."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        refuse(f"the name {shown(name)} has a control character in it")
    if "\\" in name:
        refuse(f"the name {shown(name)} has a backslash in it; separate folders with /")
    if name.startswith("/"):
        refuse(f"the name {shown(name)} is absolute; names must be relative to handler.py's folder")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        refuse(f"the name {shown(name)} is not UTF-8")
    # tar and zip tools write "./a" and "a//b" in good faith; nobody writes ".." in good faith.
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        refuse(f"the name {shown(name)} leads out of the bundle")
    if len(parts) > MAX_DEPTH:
        refuse(f"the name {shown(name)} is nested deeper than {MAX_DEPTH} folders")
    if len(encoded) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        refuse(f"the name {shown(name)} is too long: {MAX_PART_BYTES} bytes a part, {MAX_PATH_BYTES} in all")
    return "/".join(parts)


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        refuse(f"it is damaged or not what it seems ({shown(str(error) or type(error).__name__)}); {FORMS}")


def _no_handler(kinds: dict[str, str]) -> str:
    if "handler.py" in kinds:
        return "handler.py is a folder in it"
    inside = sorted(path for path in kinds if path.endswith("/handler.py"))
    if inside:
        folder = inside[0].removesuffix("/handler.py")
        return f"handler.py is not at its root but in {shown(folder)}; pack what is in that folder instead"
    return "it has no handler.py at its root; put the function's code there"


def _text(source: bytes, budget: _Budget) -> Iterator[ArchiveEntry]:
    if not source.strip():
        refuse(f"it is empty; {FORMS}")
    for magic, name in OTHER_MAGIC.items():
        if source.startswith(magic):
            refuse(f"it is compressed with {name}; {FORMS}")
    if b"\0" in source:
        refuse(f"it is neither text nor an archive that this server reads; {FORMS}")
    try:
        source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        refuse(f"line {line} is not UTF-8; {FORMS}", {"line": line})
    budget.claim("handler.py", "file")
    budget.spend(len(source))
    yield ArchiveEntry("handler.py", iter((source,)))


def _zip(source: bytes, budget: _Budget) -> Iterator[ArchiveEntry]:
    # zipfile makes an object of half a kilobyte for every 46 bytes that carry this signature: a
    # small upload would become gigabytes.  Zips inside the zip carry it too, hence the slack.
    if source.count(ZIP_LISTED) > 4 * budget.limits.max_entries + 1000:
        refuse_entries(budget.limits)
    with zipfile.ZipFile(io.BytesIO(source)) as archive:
        for info in archive.infolist():
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refuse(f"{shown(name)} is {_kind_of_mode(kind)}; only files and folders can be deployed")
            if info.flag_bits & 0x1:
                refuse(f"{shown(name)} is encrypted; pack it without a password")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # bzip2 and lzma let the archive declare how much memory its reader takes.
                refuse(f"{shown(name)} uses a compression other than deflate; pack it again with deflate")
            path = clean(name)
            if name.endswith("/") or kind == stat.S_IFDIR:
                if path:
                    budget.claim(path, "folder")
                    yield ArchiveEntry(path, None)
                continue
            if not path:
                refuse(f"the name {shown(name)} names no file")
            budget.claim(path, "file")
            with archive.open(info) as file:
                # A zip made on a system without this bit has none set.
                is_executable = bool(info.external_attr >> 16 & stat.S_IXUSR)
                yield ArchiveEntry(path, _chunks(file, info.file_size, budget), is_executable)


def _zip_name(info: zipfile.ZipInfo) -> str:
    if "\0" in info.orig_filename:  # zipfile cuts the name there; other programs do not
        refuse(f"the name {shown(info.orig_filename)} has a control character in it")
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    # Without the UTF-8 flag zipfile reads code page 437, but some tools write UTF-8 all the same.
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeEncodeError:
        return info.filename  # it came from the Unicode path field, which is UTF-8 by definition
    except UnicodeDecodeError:
        refuse(f"the name {shown(info.filename)} is not UTF-8; pack it again with UTF-8 names")


class _Stream(io.RawIOBase):
    """The decompressed bytes of a tar; PlatformError 413 when there are more than its limits allow."""

    def __init__(self, inner: IO[bytes], budget: _Budget) -> None:
        self._inner = inner
        self._budget = budget
        limits = budget.limits
        # A header, its extended header and padding for each entry; the end of the archive.
        self._left = limits.max_bytes + limits.max_entries * 4 * tarfile.BLOCKSIZE + (1 << 20)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        chunk = self._inner.read(min(size, CHUNK_BYTES) if size >= 0 else CHUNK_BYTES)
        self._left -= len(chunk)
        if self._left < 0:
            refuse_bytes(self._budget.limits)
        self._budget.spend(0)  # looks at the clock: headers alone can take long, too
        return chunk


class _Header(tarfile.TarInfo):
    """A header that we check before tarfile follows it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> _Header:
        """As tarfile's, but damage in the middle of an archive is an error and not the archive's end."""
        try:
            header = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        except tarfile.HeaderError as error:
            if buf and not buf.strip(b"\0"):
                raise  # zeros mark the end; without them something is missing
            refuse(f"it is damaged or not what it seems ({shown(str(error))}); {FORMS}")
        extended = (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if header.size < 0 or (header.type in extended and header.size > MAX_HEADER_BYTES):
            refuse(
                f"an extended header of it declares {header.size} bytes; at most {MAX_HEADER_BYTES} are read"
            )
        if header.type == tarfile.GNUTYPE_SPARSE:
            refuse(f"{shown(header.name)} is a sparse file; pack it without --sparse")
        return header


def _tar(stream: Any, budget: _Budget) -> Iterator[ArchiveEntry]:
    bounded = _Stream(stream, budget)
    # "r|" never seeks: no offset in a header sends the reader back or in a circle.
    with tarfile.open(
        fileobj=bounded,
        mode="r|",
        tarinfo=_Header,
        encoding="utf-8",
        errors="strict",
        bufsize=CHUNK_BYTES,
    ) as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()):
                kind = _kind_of_member(member)
                refuse(f"{shown(member.name)} is {kind}; only files and folders can be deployed")
            if member.issparse():
                refuse(f"{shown(member.name)} is a sparse file; pack it without --sparse")
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
            yield ArchiveEntry(path, _chunks(file, member.size, budget), bool(member.mode & stat.S_IXUSR))
    # gzip's checksum stands behind the tar's end.
    while bounded.read(CHUNK_BYTES):
        pass


def _chunks(file: IO[bytes], declared: int, budget: _Budget) -> Iterator[bytes]:
    size = 0
    with _damage_refused():  # the caller reads, outside of entries()
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            budget.spend(len(chunk))
            yield chunk
        if size != declared:
            raise EOFError(f"{declared} bytes declared, {size} found")


def _kind_of_mode(kind: int) -> str:
    return {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }.get(kind, "of an unknown kind")


def _kind_of_member(member: tarfile.TarInfo) -> str:
    for is_kind, name in (
        (member.issym, "a symbolic link"),
        (member.islnk, "a hard link"),
        (member.isdev, "a device or pipe"),
    ):
        if is_kind():
            return name
    return "of an unknown kind"
