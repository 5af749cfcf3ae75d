"""Hostile uploads, each as a zip and as a tar where both can carry it: refused, and nothing is left."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile

import pytest

from supervisor.bundles import archives, unpacking_limits, zip_reader
from supervisor.errors import PlatformError
from tests.support.packing import CODE, member, packed_both_ways, tarred, tarred_gz, zipped
from tests.support.unpacking import HANDLER, MAX_BYTES, MAX_ENTRIES, refusal

LINK = stat.S_IFLNK | 0o777

BAD_NAMES = {
    "traversal": "../evil",
    "traversal inside": "a/../../evil",
    "traversal to a sibling": "a/../b",
    "traversal at the end": "a/..",
    "absolute": "/etc/evil",
    "absolute twice": "//etc/evil",
    "backslash": "..\\evil",
    "backslash inside": "a\\b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "too deep": "/".join(["d"] * 40),
    "a long part": "x" * 256,
    "a long path": "/".join(["y" * 200] * 6),
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_bad_name_is_refused(store, name):
    for pack in packed_both_ways(HANDLER, (name, b"x")):
        error = refusal(store, pack())
        assert error.status == 422
        assert "the name" in error.message
        assert len(error.message) < 400


def test_a_name_that_hides_behind_a_nul_is_refused(store):
    source = zipped(HANDLER, ("aXevil.py", b"x")).replace(b"aXevil.py", b"a\0evil.py")
    assert refusal(store, source).status == 422


@pytest.mark.parametrize("pack_raw", [True, False])
def test_a_name_that_is_not_utf8_is_refused(store, pack_raw):
    if pack_raw:
        source = zipped(HANDLER, ("AAAA.txt", b"x")).replace(b"AAAA.txt", b"\xff\xfeAA.txt")
    else:
        bad = member("a\udcff\udcfe.txt", b"x")
        packed = io.BytesIO()
        with tarfile.open(
            fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT, errors="surrogateescape"
        ) as archive:
            archive.addfile(member(*HANDLER)[0], io.BytesIO(CODE))
            archive.addfile(bad[0], io.BytesIO(b"x"))
        source = packed.getvalue()
    assert refusal(store, source).status == 422


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (stat.S_IFLNK, "symbolic link"),
        (stat.S_IFCHR, "device"),
        (stat.S_IFBLK, "device"),
        (stat.S_IFIFO, "pipe"),
        (stat.S_IFSOCK, "socket"),
    ],
)
def test_a_zip_entry_that_is_no_file_is_refused(store, kind, named):
    source = zipped(HANDLER, ("x", b"/etc/passwd"), modes={"x": kind | 0o777})
    error = refusal(store, source)
    assert error.status == 422
    assert named in error.message


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
    ],
)
def test_a_tar_entry_that_is_no_file_is_refused(store, kind, named):
    for pack in (tarred, tarred_gz):
        error = refusal(
            store, pack(member(*HANDLER), member("x", type=kind, linkname="/etc/passwd", devmajor=1))
        )
        assert error.status == 422
        assert named in error.message


@pytest.mark.promise("T21")
def test_a_file_written_through_a_link_is_refused_before_anything_is_written(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    by_zip = zipped(("d", str(outside).encode()), ("d/evil", b"x"), HANDLER, modes={"d": LINK})
    by_tar = tarred(
        member("d", type=tarfile.SYMTYPE, linkname=str(outside)), member("d/evil", b"x"), member(*HANDLER)
    )
    for source in (by_zip, by_tar):
        assert refusal(store, source).status == 422
    assert list(outside.iterdir()) == []


def test_the_handler_itself_as_a_link_is_refused(store):
    assert refusal(store, zipped(("handler.py", b"x"), modes={"handler.py": LINK})).status == 422


def test_a_sparse_tar_entry_is_refused(store):
    sparse = member("x", type=tarfile.GNUTYPE_SPARSE)
    assert refusal(store, tarred(member(*HANDLER), sparse, form=tarfile.GNU_FORMAT)).status == 422
    pax = member("x", b"1\n0\n1\n".ljust(512, b"\0") + b"x")
    pax[0].pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    assert refusal(store, tarred(member(*HANDLER), pax)).status == 422


@pytest.mark.promise("T22")
@pytest.mark.parametrize("size", [MAX_BYTES + 1, 40 * MAX_BYTES])
def test_a_bomb_by_ratio_is_refused(store, size):
    for pack in packed_both_ways(HANDLER, ("zeros", bytes(size))):
        assert refusal(store, pack()).status == 413


def test_many_files_that_are_too_much_only_together_are_refused(store):
    half = bytes(MAX_BYTES // 2)
    for pack in packed_both_ways(HANDLER, ("a", half), ("b", half)):
        assert refusal(store, pack()).status == 413


def test_a_zip_that_says_less_than_it_holds_is_refused(store):
    source = bytearray(zipped(HANDLER, ("zeros", bytes(100_000))))
    for marker, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = source.rindex(marker) + offset
        assert source[at : at + 4] == struct.pack("<I", 100_000)
        source[at : at + 4] = struct.pack("<I", 10)
    assert refusal(store, bytes(source)).status == 422


def test_a_zip_whose_entries_share_their_bytes_does_not_give_more_than_is_allowed(store):
    """Fifield's bomb: many directory entries name the same compressed bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("handler.py", CODE)
        archive.writestr("a", bytes(MAX_BYTES // 2))
        for name in ("b", "c", "d"):
            copy = zipfile.ZipInfo(name)
            original = archive.getinfo("a")
            for field in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(copy, field, getattr(original, field))
            archive.filelist.append(copy)
            archive.NameToInfo[name] = copy
    assert refusal(store, packed.getvalue()).status in (413, 422)


def test_a_declared_size_that_is_huge_costs_nothing(store):
    source = bytearray(tarred(member(*HANDLER), member("x", b"y")))
    header = tarfile.TarInfo("x")
    header.size = 1 << 60
    at = source.index(b"x\0\0")
    source[at : at + 512] = header.tobuf(tarfile.GNU_FORMAT)
    assert refusal(store, bytes(source)).status in (413, 422)
    zipped_source = bytearray(zipped(HANDLER, ("x", b"y")))
    for marker, offset in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        at = zipped_source.rindex(marker) + offset
        zipped_source[at : at + 8] = b"\xf0\xff\xff\xff" * 2
    assert refusal(store, bytes(zipped_source)).status in (413, 422)


def test_an_extended_header_that_is_huge_is_not_read(store):
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        header = tarfile.TarInfo("long")
        header.type = kind
        header.size = 1 << 40
        source = header.tobuf(tarfile.GNU_FORMAT) + bytes(1024) + tarred(member(*HANDLER))
        error = refusal(store, source)
        assert error.status == 422
        assert "extended header" in error.message


def test_headers_that_only_announce_other_headers_end(store):
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        header = tarfile.TarInfo("next")
        header.type = kind
        header.size = len(b"13 comment=x\n")
        link = header.tobuf(tarfile.GNU_FORMAT) + b"13 comment=x\n".ljust(512, b"\0")
        assert refusal(store, link * 900 + tarred(member(*HANDLER))).status == 422


@pytest.mark.parametrize("form", ["files", "folders", "implied folders"])
def test_a_bomb_by_entries_is_refused(store, form):
    if form == "files":
        entries = [(f"f{number}", b"") for number in range(MAX_ENTRIES)]
    elif form == "folders":
        entries = [(f"f{number}/", b"") for number in range(MAX_ENTRIES)]
    else:
        entries = [("/".join([f"d{number}"] * 20), b"") for number in range(3)]
    for pack in packed_both_ways(HANDLER, *entries):
        error = refusal(store, pack())
        assert (error.status, error.details) == (413, {"limit": MAX_ENTRIES})


def test_a_directory_of_a_million_entries_is_refused_before_it_is_parsed(store, monkeypatch):
    source = zipped(HANDLER)[:4] + b"PK\x01\x02" * 10_000
    monkeypatch.setattr(zip_reader.zipfile, "ZipFile", lambda *_: pytest.fail("parsed"))
    assert refusal(store, source).status == 413


@pytest.mark.parametrize(
    "entries",
    [
        (HANDLER, ("a", b"1"), ("a", b"2")),
        (HANDLER, ("a", b"1"), ("./a", b"1")),
        (HANDLER, ("a/b", b"1"), ("a//b", b"1")),
        (HANDLER, HANDLER),
    ],
)
def test_a_name_that_is_there_twice_is_refused(store, entries):
    for pack in packed_both_ways(*entries):
        error = refusal(store, pack())
        assert error.status == 422
        assert "twice" in error.message


@pytest.mark.parametrize(
    "entries",
    [
        (HANDLER, ("a", b"1"), ("a/b", b"2")),
        (HANDLER, ("a/b", b"2"), ("a", b"1")),
        (HANDLER, ("a/", b""), ("a", b"1")),
        (HANDLER, ("handler.py/x", b"1")),
    ],
)
def test_a_name_that_is_a_file_and_a_folder_is_refused(store, entries):
    for pack in packed_both_ways(*entries):
        error = refusal(store, pack())
        assert error.status == 422
        assert "both a file and a folder" in error.message


def test_an_encrypted_zip_is_refused(store):
    source = bytearray(zipped(HANDLER))
    for marker, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        source[source.index(marker) + offset] |= 1
    assert "encrypted" in refusal(store, bytes(source)).message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_can_ask_for_much_memory_is_refused(store, method):
    assert "deflate" in refusal(store, zipped(HANDLER, method=method)).message


def test_an_upload_that_takes_too_long_is_refused():
    clock = iter([0.0, *[unpacking_limits.TIME_LIMIT_S + 1] * 100])
    limits = unpacking_limits.BundleLimits(MAX_BYTES, MAX_ENTRIES)
    with pytest.raises(PlatformError, match="longer than") as caught:
        list(archives.entries(zipped(HANDLER), limits, lambda: next(clock)))
    assert caught.value.status == 422
