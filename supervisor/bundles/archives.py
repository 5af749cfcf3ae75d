"""Reading an upload of a function: Python text, a zip, a tar or a tar.gz.

Every byte here is hostile.  Rules, for ``tar_reader`` and ``zip_reader`` too:

1. Libraries parse and never extract.  A name that does not lead to a place below our folder is refused and
   never repaired.
2. Only regular files and folders exist.  One bit of an archive's modes is read: whether a file's owner may
   execute it.  Owners and times are ignored.
3. We count what comes out, never what the archive declares; reading stops at the limit.
4. Memory is bounded before a library builds anything (MAX_HEADER_BYTES, the count of zip signatures), time
   by TIME_LIMIT_S.
5. Patch releases of the libraries differ in what they let pass.  What an archive may be is decided by our own
   look at its bytes, before a library reads them.

Refusals are PlatformError: 413 for too much, 422 for everything else.
"""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable, Iterator

from supervisor.bundles.tar_reader import tar_entries
from supervisor.bundles.unpacking_limits import (
    FORMS,
    ArchiveEntry,
    Budget,
    BundleLimits,
    ByteStream,
    damage_refused,
    refuse,
    refuse_bytes,
)
from supervisor.bundles.zip_reader import zip_entries
from supervisor.errors import shown

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
GZIP_MAGIC = b"\x1f\x8b"
OTHER_MAGIC = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}


def entries(
    source: bytes, limits: BundleLimits, now: Callable[[], float] = time.monotonic
) -> Iterator[ArchiveEntry]:
    """The files and folders of an upload; PlatformError 413 or 422.

    An archive need not name the folder of a file.
    """
    if len(source) > limits.max_bytes:
        refuse_bytes(limits)
    budget = Budget(limits, now)
    if source.startswith(ZIP_MAGIC):
        found = zip_entries(source, budget)
    elif source.startswith(GZIP_MAGIC):
        found = tar_entries(gzip.GzipFile(fileobj=io.BytesIO(source)), budget)
    elif source[257:262] == b"ustar":
        found = tar_entries(io.BytesIO(source), budget)
    else:
        found = _text(source, budget)
    yield from _checked(found, budget)


def entries_of_tar(stream: ByteStream, limits: BundleLimits) -> Iterator[ArchiveEntry]:
    """The files and folders of a tar that is read as it is needed; else like ``entries``."""
    budget = Budget(limits, time.monotonic)
    yield from _checked(tar_entries(stream, budget), budget)


def _checked(found: Iterator[ArchiveEntry], budget: Budget) -> Iterator[ArchiveEntry]:
    with damage_refused():
        yield from found
    kind = budget.kinds.get("handler.py")
    if kind != "file":
        refuse(_no_handler(budget.kinds))


def _no_handler(kinds: dict[str, str]) -> str:
    if "handler.py" in kinds:
        return "handler.py is a folder in it"
    inside = sorted(path for path in kinds if path.endswith("/handler.py"))
    if inside:
        folder = inside[0].removesuffix("/handler.py")
        return f"handler.py is not at its root but in {shown(folder)}; pack what is in that folder instead"
    return "it has no handler.py at its root; put the function's code there"


def _text(source: bytes, budget: Budget) -> Iterator[ArchiveEntry]:
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
