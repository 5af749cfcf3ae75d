"""What is a bundle, and that it comes back as it was."""

from __future__ import annotations

import os
import stat
import tarfile

import pytest

from supervisor.errors import PlatformError
from tests.support.packing import CODE, member, packed_both_ways, tarred, zipped
from tests.support.unpacking import HANDLER, MAX_BYTES, MAX_ENTRIES, content, tree


def test_a_text_is_the_handler(store):
    assert content(store, store.add(CODE)) == {"handler.py": CODE}


def test_the_same_code_is_one_bundle_however_it_is_packed(store):
    sources = [CODE, *(pack() for pack in packed_both_ways(HANDLER)), zipped(("./handler.py", CODE))]
    assert len({store.add(source) for source in sources}) == 1
    assert tree(store.root) == sorted([entry for entry in tree(store.root) if len(entry) >= 64])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_each_form_of_tar_is_read_with_long_and_foreign_names(store, form):
    name = "/".join(["folder" * 8] * 3 + ["ünï.txt"])
    source = tarred(member("handler.py", CODE, mtime=1.5), member(name, b"x"), form=form)
    assert content(store, store.add(source)) == {"handler.py": CODE, name: b"x"}


def test_a_tree_is_unpacked_as_it_is(store):
    entries = (
        HANDLER,
        ("pkg/", b""),
        ("pkg/a.py", b"A"),
        ("pkg/deep/b.bin", bytes(range(256))),
        ("none/", b""),
    )
    digests = {store.add(pack()) for pack in packed_both_ways(*entries)}
    assert len(digests) == 1
    digest = digests.pop()
    assert content(store, digest) == {
        "handler.py": CODE,
        "pkg/a.py": b"A",
        "pkg/deep/b.bin": bytes(range(256)),
    }
    assert (store.path(digest) / "none").is_dir()


@pytest.mark.parametrize(
    "other",
    [
        zipped(("handler.py", CODE + b"\n")),
        zipped(HANDLER, ("a", b"")),
        zipped(HANDLER, ("a/", b"")),
        zipped(HANDLER, ("b", b"")),
        zipped(HANDLER, ("a", b"b")),
        zipped(HANDLER, modes={"handler.py": 0o100755}),
    ],
)
def test_another_path_kind_mode_or_content_is_another_bundle(store, other):
    assert store.add(other) != store.add(CODE)


@pytest.mark.promise("T85")
def test_of_modes_whether_the_owner_may_execute_a_file_is_kept_and_nothing_else(store):
    before = os.umask(0o077)
    try:
        by_zip = store.add(
            zipped(
                HANDLER, ("bin/run", b"x"), ("bin/data", b"d"), ("bin/none", b"n"),
                modes={"handler.py": 0o100666, "bin/run": stat.S_IFREG | 0o7100, "bin/data": 0o107077,
                       "bin/none": 0},
            )
        )  # fmt: skip
        by_tar = store.add(
            tarred(
                member("handler.py", CODE, mode=0o600, uid=0, uname="root"),
                member("bin", type=tarfile.DIRTYPE, mode=0o7000),
                member("bin/run", b"x", mode=0o6777),
                member("bin/data", b"d", mode=0o7644),
                member("bin/none", b"n", mode=0),
            )
        )
    finally:
        os.umask(before)
    assert by_zip == by_tar
    root = store.path(by_zip)
    modes = {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {
        "handler.py": 0o644, "bin": 0o755, "bin/run": 0o755, "bin/data": 0o644, "bin/none": 0o644,
    }  # fmt: skip
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "source",
    [
        zipped(HANDLER, ("run", b"x"), modes={"run": 0o100755}),
        zipped(HANDLER, modes={"handler.py": 0o100755}),
    ],
)
def test_a_bundle_with_an_executable_comes_back_as_it_is(store, source):
    digest = store.add(source)
    assert store.add(store.code(digest)) == digest


def test_utf8_names_are_accepted_with_and_without_the_flag(store):
    flagged = zipped(HANDLER, ("ünï.txt", b"x"))
    raw = "ünï.txt".encode()
    unflagged = zipped(HANDLER, ("X" * len(raw), b"x")).replace(b"X" * len(raw), raw)
    assert content(store, store.add(flagged)) == content(store, store.add(unflagged))


def test_a_bundle_may_be_exactly_as_large_as_is_allowed(store):
    exact = zipped(HANDLER, ("x", bytes(MAX_BYTES - len(CODE))))
    assert sum(map(len, content(store, store.add(exact)).values())) == MAX_BYTES
    entries = [(f"f{number}", b"") for number in range(MAX_ENTRIES - 1)]
    assert len(content(store, store.add(zipped(HANDLER, *entries)))) == MAX_ENTRIES


def test_a_single_handler_comes_back_as_it_was(store):
    assert store.code(store.add(zipped(HANDLER))) == CODE


def test_a_tree_comes_back_as_a_zip_of_the_same_bundle(store):
    digest = store.add(tarred(member(*HANDLER), member("a/b.py", b"B"), member("e", type=tarfile.DIRTYPE)))
    code = store.code(digest)
    assert code.startswith(b"PK")
    assert store.add(code) == digest
    assert store.code(digest) == code


def test_the_code_of_a_bundle_that_is_missing_says_so(store):
    with pytest.raises(PlatformError, match="missing") as caught:
        store.code("a" * 64)
    assert caught.value.status == 500


@pytest.mark.parametrize("digest", ["", "..", "a" * 63, "A" * 64, "a" * 64 + "/..", "a" * 64 + "\n"])
def test_only_a_digest_names_a_bundle(store, digest):
    with pytest.raises(ValueError, match="digest"):
        store.path(digest)
