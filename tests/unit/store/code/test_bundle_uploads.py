"""Bundles in the store: pieces first, then the row; nothing is left of what is not named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from supervisor.errors import PlatformError
from supervisor.store import Content, Lookups
from supervisor.store.store import Store
from tests.support.stores import executed

LATER_S = 3601.0


def put(store: Store, digest: str, *pieces: bytes) -> None:
    def pack(emit: Callable[[bytes], None]) -> None:
        for piece in pieces:
            emit(piece)

    store.put_bundle(digest, pack)


def content(digest: str) -> Content:
    return Content(digest, "python3-http", "", {}, {})


def rows(url: str) -> tuple[int, int, int]:
    tables = ("versions", "bundles", "bundle_pieces")
    versions, bundles, pieces = (executed(url, f"SELECT count(*) FROM {table}") for table in tables)
    return versions, bundles, pieces


def test_a_bundle_is_read_as_it_was_put_and_kept_once(store: Store, lookups: Lookups, url: str) -> None:
    for _ in range(2):
        put(store, "a" * 64, b"one", b"two")
    assert list(lookups.pieces_of("a" * 64) or ()) == [b"one", b"two"]
    assert lookups.pieces_of("b" * 64) is None
    assert rows(url) == (0, 1, 2)


def test_an_upload_that_breaks_off_leaves_nothing(store: Store, lookups: Lookups, url: str) -> None:
    def broken(emit: Callable[[bytes], None]) -> None:
        emit(b"one")
        raise PlatformError(507, "full")

    with pytest.raises(PlatformError):
        store.put_bundle("a" * 64, broken)
    assert lookups.pieces_of("a" * 64) is None
    assert rows(url) == (0, 0, 0)


@pytest.mark.promise("S164")
def test_of_old_versions_the_newest_are_kept_and_the_active_one(store: Store, url: str) -> None:
    function = store.create_function("demo", "hello", content("0" * 64))
    for number in range(1, 6):
        function, _ = store.deploy(function, content(f"{number}" * 64), 3)
    _, page = store.versions("demo", "hello", 10)
    assert [version.number for version in page.items] == [6, 5, 4]
    _, oldest = store.version_to_roll_back_to("demo", "hello", 4)
    store.activate(function, oldest)
    store.tidy(1, LATER_S)  # a lower setting holds for what is there, too
    function, page = store.versions("demo", "hello", 10)
    assert ([version.number for version in page.items], function.active.number) == ([6, 4], 4)
    with pytest.raises(PlatformError) as caught:
        store.version_to_roll_back_to("demo", "hello", None)
    assert (caught.value.status, "is the oldest that it has" in caught.value.message) == (409, True)


@pytest.mark.promise("S165")
def test_a_deleted_function_or_version_leaves_nothing_in_the_store(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for digest in ("a" * 64, "b" * 64, "c" * 64):
        put(store, digest, b"one", b"two")
    function = store.create_function("demo", "hello", content("a" * 64))
    function, _ = store.deploy(function, content("b" * 64), 1)  # "a" is of no version now
    store.create_function("demo", "other", content("b" * 64))
    store.delete_function("demo", "hello")
    assert store.tidy(1, LATER_S) == ()  # a deploy or a call may still be about to need them
    now = store._now
    monkeypatch.setattr(store, "_now", lambda: now() + timedelta(seconds=LATER_S))
    executed(url, "INSERT INTO bundle_pieces VALUES ('00000000000000000000000000', 0, 'x')")
    assert store.tidy(1, LATER_S - 1) == ("a" * 64, "c" * 64)
    assert rows(url) == (1, 1, 2)
    store.delete_function("demo", "other")
    monkeypatch.setattr(store, "_now", lambda: now() + timedelta(seconds=2 * LATER_S))
    assert store.tidy(1, LATER_S - 1) == ("b" * 64,)
    assert rows(url) == (0, 0, 0)


def test_an_sqlite_file_becomes_smaller_when_code_is_deleted(store: Store, url: str) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL gives its space back by itself")
    before = executed(url, "PRAGMA page_count")
    put(store, "a" * 64, *(bytes(1 << 20) for _ in range(3)))
    assert executed(url, "PRAGMA page_count") > before + 700
    now = store._now
    store._now = lambda: now() + timedelta(seconds=LATER_S)
    store.tidy(20, LATER_S - 1)
    assert executed(url, "PRAGMA page_count") <= before + 3
