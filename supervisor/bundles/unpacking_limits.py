"""What every reader of an upload keeps to: names, sizes and counts, and the words of a refusal.

Not here: the forms themselves (``archives``, ``tar_reader``, ``zip_reader``).
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple, NoReturn, Protocol

from supervisor.errors import PlatformError, shown

CHUNK_BYTES = 64 * 1024
MAX_DEPTH = 32  # folders and file name; deeper trees are attacks on path limits, not programs
MAX_PART_BYTES = 255  # NAME_MAX of every file system we may land on
MAX_PATH_BYTES = 1024
TIME_LIMIT_S = 60.0

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


class ByteStream(Protocol):
    """What an archive is read from; ``read`` may give fewer bytes than asked for, and none at the end."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes."""


class BundleLimits(NamedTuple):
    """The most that may come out: bytes of all files together, and the number of files and folders."""

    max_bytes: int
    max_entries: int


class ArchiveEntry(NamedTuple):
    """A file or a folder; ``chunks`` gives a file's content once, before the next entry is asked for."""

    path: str
    chunks: Iterator[bytes] | None
    is_executable: bool = False


@dataclass(eq=False, repr=False)
class Budget:
    """What an upload has used so far, and which names are taken."""

    limits: BundleLimits
    now: Callable[[], float]
    ends_at: float = 0.0
    bytes_used: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ends_at = self.now() + TIME_LIMIT_S

    def spend(self, count: int) -> None:
        """Count what came out, and look at the clock."""
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
def damage_refused() -> Iterator[None]:
    """What the libraries raise for damaged input, as the 422."""
    try:
        yield
    except _DAMAGE as error:
        refuse(f"it is damaged or not what it seems ({shown(str(error) or type(error).__name__)}); {FORMS}")


def chunks_of(file: IO[bytes], declared: int, budget: Budget) -> Iterator[bytes]:
    """A file's content; what is more or less than the archive declares is damage."""
    size = 0
    with damage_refused():  # the caller reads, outside of entries()
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            budget.spend(len(chunk))
            yield chunk
        if size != declared:
            raise EOFError(f"{declared} bytes declared, {size} found")
