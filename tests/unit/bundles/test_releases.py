"""What an archive may be is ours to say: each release of Python that is here judges uploads alike.

Releases of tarfile and zipfile differ in what they take for an archive's end, in which of our methods they
call, and in which bombs they know.  Debian's 3.11.2 once took a truncated tar for a whole one.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from supervisor.runtimes import RUNTIME_NAMES
from supervisor.runtimes.runtime_record import read_record, runtime_of
from supervisor.settings import plain_sources
from tests.support.packing import CODE, member, tarred, zipped
from tests.support.unpacking import HANDLER

DRIVER = Path(__file__).with_name("driver_verdicts.py")
ROOT = Path(__file__).parents[3]
DRIVER_SECONDS = 60.0
# Which the supervisor runs on.
OLDEST = (3, 11)


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def block(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def with_extended(kind: bytes, content: bytes, after: bytes = b"") -> bytes:
    """A tar whose first header is an extended one."""
    return header("extended", kind, len(content)) + block(content) + (after or tarred(member(*HANDLER)))


def re_summed(source: bytes) -> bytes:
    """With the right checksum in its first header."""
    blanked = source[:148] + b" " * 8 + source[156:512]
    return blanked[:148] + b"%06o\0 " % sum(blanked) + blanked[156:] + source[512:]


def altered_header(at: int, put: bytes) -> bytes:
    """A tar with another first header, whose checksum is right, before the handler."""
    odd = header("odd", size=1)
    return re_summed(odd[:at] + put + odd[at + len(put) :]) + block(b"x") + tarred(member(*HANDLER))


def overlapping() -> bytes:
    """A zip two of whose entries are the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handler.py", CODE)
        archive.writestr("a", b"A")
        copy = zipfile.ZipInfo("b")
        for field in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
            setattr(copy, field, getattr(archive.getinfo("a"), field))
        archive.filelist.append(copy)
        archive.NameToInfo["b"] = copy
    return packed.getvalue()


def with_unicode_path(name: bytes, checksum: int, version: int = 1) -> bytes:
    """A zip with one name in an old code page and in Info-ZIP's extra field."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handler.py", CODE)
        info = zipfile.ZipInfo("a.txt")
        info.extra = struct.pack("<HHBL", 0x7075, 5 + len(name), version, checksum) + name
        archive.writestr(info, b"x")
    return packed.getvalue()


def with_zip64_at(offset: int) -> bytes:
    """A zip whose Zip64 directory is ``offset`` bytes before where its locator says it is."""
    source = zipped(HANDLER)
    end = source.rindex(b"PK\x05\x06")
    count, size, at = struct.unpack_from("<H2L", source, end + 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end + offset, 1)
    closing = source[end : end + 8] + struct.pack("<2H2LH", 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return source[:end] + record + locator + closing


WHOLE = tarred(member(*HANDLER), member("a", b"x"))
CONTENT_END = len(WHOLE.rstrip(b"\0"))
NAME_CRC = zlib.crc32(b"a.txt")
HANDLER_ONLY = {"handler.py": CODE}
WITH_A = {"handler.py": CODE, "a": b"x"}
REFUSED = 422

# By name: the upload, and what it is.
UPLOADS: dict[str, tuple[bytes, object]] = {
    "a tar": (WHOLE, WITH_A),
    "a tar without its second zero block": (WHOLE[: -(-CONTENT_END // 512) * 512 + 512], WITH_A),
    "a tar that ends where a header is due": (WHOLE[: -(-CONTENT_END // 512) * 512], REFUSED),
    "a tar that ends in its padding": (WHOLE[: CONTENT_END + 1], REFUSED),
    "a tar that ends in a header": (WHOLE[: CONTENT_END - 512], REFUSED),
    "a tar.gz of a tar without an end": (gzip.compress(WHOLE[:1024]), REFUSED),
    "a header with a wrong checksum behind others": (
        WHOLE.replace(b"a\0\0\0\0\0", b"b\0\0\0\0\0"), REFUSED),
    "a size that is no number": (altered_header(124, b"0x000000001"), REFUSED),
    "a size with an underscore": (altered_header(124, b"0000_000001"), REFUSED),
    "a negative size": (altered_header(124, b"\xff" * 12), REFUSED),
    "an owner that is no number": (altered_header(108, b"zzzzzzz"), REFUSED),
    "a size in base 256": (altered_header(124, b"\x80" + bytes(10) + b"\1"), {**HANDLER_ONLY, "odd": b"x"}),
    "a huge extended header": (
        header("long", tarfile.XHDTYPE, 1 << 40) + bytes(1024) + tarred(member(*HANDLER)), REFUSED),
    "a comment in an extended header": (with_extended(tarfile.XGLTYPE, b"13 comment=x\n"), HANDLER_ONLY),
    "an extended header without records": (with_extended(tarfile.XHDTYPE, b"comment"), REFUSED),
    "a record that is longer than its header": (with_extended(tarfile.XHDTYPE, b"99 comment=x\n"), REFUSED),
    "a record of no length": (with_extended(tarfile.XHDTYPE, b"0 a=b\n"), REFUSED),
    "a record without a key": (with_extended(tarfile.XHDTYPE, b"5 =b\n"), REFUSED),
    "a record that changes a size": (with_extended(tarfile.XHDTYPE, b"11 size=512\n"), REFUSED),
    "a sparse file by records": (
        with_extended(tarfile.XHDTYPE, b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"), REFUSED),
    "an extended header at the end": (
        with_extended(tarfile.XHDTYPE, b"13 comment=x\n", bytes(1024)), REFUSED),
    "an old folder that has content": (
        re_summed(header("d/", tarfile.AREGTYPE, 1)) + block(b"x") + WHOLE, REFUSED),
    "an old folder": (re_summed(header("d/", tarfile.AREGTYPE)) + WHOLE, {**WITH_A, "d": b""}),
    "a long name of an old folder": (
        with_extended(tarfile.GNUTYPE_LONGNAME, b"d" * 120 + b"\0",
                      header("d" * 99 + "/", tarfile.AREGTYPE) + WHOLE), REFUSED),
    "a zip": (zipped(HANDLER, ("a", b"x")), WITH_A),
    "a zip whose entries share bytes": (overlapping(), REFUSED),
    "a name in Unicode": (
        with_unicode_path("ü.txt".encode(), NAME_CRC), {**HANDLER_ONLY, "ü.txt": b"x"}),
    "a name in Unicode that is for another": (
        with_unicode_path("ü.txt".encode(), 7), {**HANDLER_ONLY, "a.txt": b"x"}),
    "a name in Unicode that is not UTF-8": (with_unicode_path(b"\xff\xfe", NAME_CRC), REFUSED),
    "an empty name in Unicode": (with_unicode_path(b"", NAME_CRC), REFUSED),
    "a zip with a Zip64 directory": (with_zip64_at(0), HANDLER_ONLY),
    "a Zip64 directory that is elsewhere": (with_zip64_at(1), REFUSED),
}  # fmt: skip


def interpreters() -> dict[str, Path]:
    """This interpreter and the runtimes' that can run the supervisor."""
    folder = plain_sources.load().runtimes_dir
    found = {"this one": Path(sys.executable)}
    for name in RUNTIME_NAMES:
        record = read_record(folder, name)
        runtime = runtime_of(folder, record) if record else None
        if runtime and tuple(map(int, name.removeprefix("python").split("."))) >= OLDEST:
            found[name] = runtime.python
    return found


@pytest.mark.promise("S191")
def test_each_release_of_python_judges_an_archive_alike():
    given = {name: base64.b64encode(source).decode() for name, (source, _) in UPLOADS.items()}
    expected = {
        name: {path: base64.b64encode(content).decode() for path, content in is_what.items()}
        if isinstance(is_what, dict)
        else is_what
        for name, (_, is_what) in UPLOADS.items()
    }
    for name, python in interpreters().items():
        done = subprocess.run(
            [str(python), "-I", "-S", "-B", "-W", "ignore", str(DRIVER), str(ROOT)],
            input=json.dumps(given).encode(),
            capture_output=True,
            timeout=DRIVER_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert json.loads(done.stdout) == expected, name
