"""Bundles among others: added at once, collected when nobody names them, and a full disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from supervisor.bundles import bundle_store
from supervisor.bundles.bundle_store import COLLECT_AFTER_S, BundleStore
from tests.support.packing import CODE, zipped
from tests.support.unpacking import HANDLER, MAX_BYTES, MAX_ENTRIES, refusal, tree


def test_adders_at_once_of_one_bundle_agree(store):
    source = zipped(HANDLER, *[(f"f{number}", b"x") for number in range(20)])
    start = threading.Barrier(6)
    digests = []

    def add() -> None:
        start.wait(10)
        digests.append(BundleStore(store.root, MAX_BYTES, MAX_ENTRIES).add(source))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(digests) == 6
    assert len(set(digests)) == 1
    assert [entry.name for entry in store.root.iterdir() if entry.name != ".lock"] == [digests[0]]


def test_a_full_disk_is_a_507_that_leaves_nothing(store, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_store.os, "fsync", full)
    assert refusal(store, CODE).status == 507


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aging(tmp_path: Path, clock: Clock) -> BundleStore:
    return BundleStore(tmp_path / "bundles", MAX_BYTES, MAX_ENTRIES, clock)


def test_only_what_no_version_names_is_collected_and_only_after_a_while(aging, clock):
    used, unused = aging.add(CODE), aging.add(CODE + b"#")
    assert aging.collect({used}) == ()
    clock.now += COLLECT_AFTER_S + 1
    young = aging.add(CODE + b"##")
    assert aging.collect({used}) == (unused,)
    assert [aging.exists(one) for one in (used, unused, young)] == [True, False, True]
    assert tree(aging.root) == sorted([used, f"{used}/handler.py", young, f"{young}/handler.py"])


def test_a_bundle_that_is_deployed_again_or_was_just_unused_is_kept(aging, clock):
    again, deleted = aging.add(CODE), aging.add(CODE + b"#")
    clock.now += COLLECT_AFTER_S + 1
    aging.add(CODE)
    aging.touch([deleted, "0" * 64])
    assert aging.collect(set()) == ()
    clock.now += COLLECT_AFTER_S + 1
    assert aging.collect(set()) == tuple(sorted([again, deleted]))


def test_the_debris_of_a_crash_is_collected_but_not_a_deploy_in_progress(aging, clock):
    old, new = aging.root / ".incoming-old", aging.root / ".incoming-new"
    for folder, age in ((old, COLLECT_AFTER_S + 1), (new, 5)):
        folder.mkdir()
        (folder / "x").write_bytes(b"x")
        os.utime(folder, (clock.now - age, clock.now - age))
    assert aging.collect(set()) == ()
    assert (old.exists(), new.exists()) == (False, True)


def test_what_is_not_ours_is_never_collected(aging, clock):
    (aging.root / "README").write_text("a person's note")
    clock.now += 10 * COLLECT_AFTER_S
    aging.collect(set())
    assert (aging.root / "README").exists()
