"""Reading a zip: its directory and what that leads to.

``archives`` has the rules.  Where patch releases of zipfile differ, what they differ about is refused here:
entries that share bytes, a Zip64 directory that is not where its locator says, a damaged Unicode name.
"""

from __future__ import annotations

import io
import itertools
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator

from supervisor.bundles.unpacking_limits import (
    FORMS,
    ArchiveEntry,
    Budget,
    chunks_of,
    clean,
    refuse,
    refuse_entries,
)
from supervisor.errors import shown

LISTED = b"PK\x01\x02"  # before each entry of the directory
DIRECTORY_END = b"PK\x05\x06"
ZIP64_LOCATOR = struct.Struct("<4sLQL")  # signature, disk, place of the Zip64 record, disks; before the end
ZIP64_MAGIC = b"PK\x06\x07"
ZIP64_RECORD_BYTES = 56
LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of the name and of the extra field, which follow
EXTRA_FIELD = struct.Struct("<HH")  # id, length
UNICODE_PATH = struct.Struct("<HHBL")  # id, length, version, checksum of the name it stands for
UNICODE_PATH_ID = 0x7075


def zip_entries(source: bytes, budget: Budget) -> Iterator[ArchiveEntry]:
    """The files and folders of a zip."""
    # zipfile makes an object of half a kilobyte for every 46 bytes that carry this signature: a
    # small upload would become gigabytes.  Zips inside the zip carry it too, hence the slack.
    if source.count(LISTED) > 4 * budget.limits.max_entries + 1000:
        refuse_entries(budget.limits)
    _check_zip64(source)
    with zipfile.ZipFile(io.BytesIO(source)) as archive:
        _check_overlaps(source, archive)
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
                yield ArchiveEntry(path, chunks_of(file, info.file_size, budget), is_executable)


def _check_zip64(source: bytes) -> None:
    """Old releases take the record before the locator whatever it says, new ones refuse another place."""
    at = source.rfind(DIRECTORY_END) - ZIP64_LOCATOR.size
    if at < 0 or not source.startswith(ZIP64_MAGIC, at):
        return
    _, _, record_at, _ = ZIP64_LOCATOR.unpack_from(source, at)
    if record_at != at - ZIP64_RECORD_BYTES:
        refuse(f"its Zip64 directory is not where it says; {FORMS}")


def _check_overlaps(source: bytes, archive: zipfile.ZipFile) -> None:
    """Refuse entries that share bytes: a bomb, which only some releases know."""
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    starts = [info.header_offset for info in infos] + [archive.start_dir]
    for info, (start, following) in zip(infos, itertools.pairwise(starts), strict=True):
        if start < 0 or start + LOCAL_HEADER.size > len(source):
            refuse(f"{shown(info.filename)} is not in it; {FORMS}")
        name_bytes, extra_bytes = LOCAL_HEADER.unpack_from(source, start)
        if start + LOCAL_HEADER.size + name_bytes + extra_bytes + info.compress_size > following:
            refuse(f"{shown(info.filename)} shares bytes with what follows it; pack it again")


def _zip_name(info: zipfile.ZipInfo) -> str:
    name = info.orig_filename
    if "\0" in name:  # zipfile cuts the name there; other programs do not
        refuse(f"the name {shown(name)} has a control character in it")
    if info.flag_bits & 0x800:
        return name
    # Without the UTF-8 flag zipfile reads code page 437, but some tools write UTF-8 all the same.
    raw = name.encode("cp437")
    try:
        return (_unicode_path(info, raw) or raw).decode()
    except UnicodeDecodeError:
        refuse(f"the name {shown(name)} is not UTF-8; pack it again with UTF-8 names")


def _unicode_path(info: zipfile.ZipInfo, raw: bytes) -> bytes:
    """The name that Info-ZIP's extra field has for this one; only some releases of zipfile read it."""
    at = 0
    while at + EXTRA_FIELD.size <= len(info.extra):
        kind, size = EXTRA_FIELD.unpack_from(info.extra, at)
        end = at + EXTRA_FIELD.size + size
        if kind == UNICODE_PATH_ID:
            if end > len(info.extra) or end - at <= UNICODE_PATH.size:
                refuse(f"the Unicode name of {shown(info.orig_filename)} is damaged; pack it again")
            *_, version, checksum = UNICODE_PATH.unpack_from(info.extra, at)
            if version == 1 and checksum == zlib.crc32(raw):
                return info.extra[at + UNICODE_PATH.size : end]
        at = end
    return b""


def _kind_of_mode(kind: int) -> str:
    return {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }.get(kind, "of an unknown kind")
