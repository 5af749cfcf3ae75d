"""What is no bundle, or is damaged: refused with what to do."""

from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import PlatformError
from tests.support.packing import CODE, member, packed_both_ways, tarred, zipped
from tests.support.unpacking import HANDLER, MAX_BYTES, MAX_ENTRIES, content, refusal, tree


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\x00\x01\x02", "neither text nor an archive"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\x00\x00", "xz"),
        (b"x = 1\ny = '\xff'\n", "line 2 is not UTF-8"),
        (gzip.compress(CODE), "damaged or not what it seems"),
        (zipped(), "no handler.py"),
        (tarred(member("x", b"")), "no handler.py"),
        (zipped(("Handler.py", CODE)), "no handler.py"),
        (zipped(("repo-main/handler.py", CODE)), "in 'repo-main'"),
        (zipped(("handler.py/", b"")), "handler.py is a folder"),
    ],
)
def test_what_is_no_bundle_is_refused_with_what_to_do(store, source, says):
    error = refusal(store, source)
    assert error.status == 422
    assert says in error.message


def test_an_upload_that_is_too_large_is_refused_unread(store):
    assert refusal(store, b"#" * (MAX_BYTES + 1)).status == 413


def whole_uploads() -> list[bytes]:
    entries = (HANDLER, ("pkg/a.py", bytes(range(256)) * 20), ("b/", b""))
    return [pack() for pack in packed_both_ways(*entries)]


@pytest.mark.parametrize("index", range(3))
def test_no_truncated_archive_is_taken_for_a_whole_one(store, index):
    source = whole_uploads()[index]
    # A tar is padded with many zero blocks: without some of those it is still whole.
    end = len(source) if index != 1 else -(-len(source.rstrip(b"\0")) // 512) * 512 + 1
    for length in {*range(150, end, 97), *range(512, end, 512), end - 1}:
        refusal(store, source[:length])


@pytest.mark.parametrize("index", [0, 2])
def test_no_altered_content_is_taken_for_the_true_one(store, index):
    source = whole_uploads()[index]
    true = content(store, store.add(source))
    chance = random.Random(1)
    for _ in range(150):
        altered = bytearray(source)
        altered[chance.randrange(len(source))] ^= 1 << chance.randrange(8)
        try:
            found = content(store, store.add(bytes(altered)))
        except PlatformError as error:
            assert error.status in (413, 422)
        else:  # a name, a time or a mode was hit; contents have checksums
            assert sorted(found.values()) == sorted(true.values())


def damaged(which: int, at: int, put: bytes) -> bytes:
    source = whole_uploads()[which]
    return source[:at] + put + source[at + len(put) :]


MAGIC = [b"PK\x03\x04", b"\x1f\x8b\x08\0", b"a".ljust(257, b"\0") + b"ustar"]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=2000),
        st.builds(bytes.__add__, st.sampled_from(MAGIC), st.binary(max_size=2000)),
        st.builds(damaged, st.integers(0, 2), st.integers(0, 3000), st.binary(min_size=1, max_size=40)),
    )
)
def test_any_bytes_are_a_bundle_or_a_refusal(tmp_path_factory, source):
    store = BundleStore(tmp_path_factory.mktemp("any") / "bundles", MAX_BYTES, MAX_ENTRIES)
    try:
        digest = store.add(source)
    except PlatformError as error:
        assert error.status in (413, 422)
        assert tree(store.root) == []
    else:
        assert (store.path(digest) / "handler.py").is_file()
