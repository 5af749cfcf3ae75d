"""Values under a newer key, some at a time."""

from __future__ import annotations

from contextlib import closing

import sqlalchemy as sa

from supervisor.store import Actor, Lookups, Sealer, database, open_lookups
from supervisor.store.drivers import driver_of
from supervisor.store.plain_reads import PlainReader
from supervisor.store.ring import resealing
from supervisor.store.ring.key_file import load_key, replace_key
from tests.support.stores import executed, refusal
from tests.unit.store.ring.conftest import VALUES


def values_now(url, key_path, space="demo"):
    """What a front that starts now reads."""
    with closing(open_lookups(url, Sealer(load_key(key_path)))) as lookups:
        return lookups.values(space)


def turned(store, key_path):
    """The store's key is an old one now, and a new one seals."""
    old = load_key(key_path)
    replace_key(key_path, old.with_new(b"n" * 32).sealing_with_newest())
    store.resealing.sealer.refresh()
    return old


def test_values_are_sealed_again_in_batches_and_stay_what_they_were(filled, url, key_path, monkeypatch):
    monkeypatch.setattr(resealing, "BATCH", 3)
    old = turned(filled, key_path)
    done = []
    while number := filled.resealing.some():
        done.append((number, filled.resealing.left()))
    assert done == [(3, 5), (3, 2), (2, 0)]
    replace_key(key_path, load_key(key_path).newest_alone())
    assert values_now(url, key_path).secrets == VALUES
    assert values_now(url, key_path, "other").variables == {"V": {"a": 1}}
    with closing(Lookups(PlainReader(driver_of(url)), Sealer(old))) as stale:
        assert refusal(lambda: stale.values("demo")).status == 500, "the old key opens them still"


def test_values_from_before_keys_had_names_are_sealed_again_too(filled, url, key_path):
    executed(url, "UPDATE space_values SET sealed_by = NULL")
    assert values_now(url, key_path).secrets == VALUES
    turned(filled, key_path)
    assert filled.resealing.left() == len(VALUES) + 1
    assert filled.resealing.some() == len(VALUES) + 1
    assert filled.resealing.left() == 0
    assert values_now(url, key_path).secrets == VALUES


def test_a_value_that_does_not_open_stops_the_rotation_and_changes_nothing(filled, url, key_path):
    executed(url, "UPDATE space_values SET name = 'MOVED' WHERE name = 'S3'")
    turned(filled, key_path)
    error = refusal(filled.resealing.some)
    assert error.status == 500 and "'MOVED'" in error.message and "set it again or delete it" in error.message
    assert filled.resealing.left() == len(VALUES) + 1
    filled.delete_value("demo", "secret", "MOVED")
    assert filled.resealing.some() == len(VALUES)


def test_a_change_that_was_under_way_is_waited_for_and_not_lost(filled, url, key_path):
    """A writer that sealed by the old key holds the rotation up until what it wrote can be seen."""
    import threading

    store, held, go = filled, threading.Event(), threading.Event()
    seal = store.resealing.sealer.seal_named

    def slow(*args, **kwargs):
        sealed = seal(*args, **kwargs)
        held.set()
        assert go.wait(20)
        return sealed

    store._sealer.seal_named = slow
    writer = threading.Thread(target=store.put_value, args=("demo", "secret", "LATE", "late"))
    writer.start()
    assert held.wait(20)
    del store._sealer.seal_named
    old = turned(store, key_path)
    results: list[bool] = []
    checker = threading.Thread(target=lambda: results.append(store.resealing.is_done("sealing_key.rotated")))
    checker.start()
    checker.join(0.3)
    assert checker.is_alive(), "the check did not wait for the writer"
    go.set()
    for thread in (writer, checker):
        thread.join(20)
    assert results == [False], "a value that the old key sealed was not seen"
    assert old.ids[0] in _keys(url)
    while store.resealing.some():
        pass
    assert store.resealing.is_done("sealing_key.rotated")
    assert values_now(url, key_path).secrets == {**VALUES, "LATE": "late"}


def _keys(url):
    db = database.connect(url)
    try:
        return set(
            db.read(
                lambda connection: (
                    connection.execute(sa.text("SELECT DISTINCT sealed_by FROM space_values")).scalars().all()
                )
            )
        )
    finally:
        db.close()


def test_the_audit_says_who_rotated_and_never_a_key(filled, url, key_path):
    old = turned(filled, key_path)
    acting = filled.acting_for(Actor("admin", "192.0.2.1")).resealing
    acting.note("sealing_key.rotate")
    while acting.some():
        pass
    assert acting.is_done("sealing_key.rotated")
    db = database.connect(url)
    try:
        rows = db.read(
            lambda connection: connection.execute(
                sa.text("SELECT actor, address, action, target FROM audit WHERE space IS NULL ORDER BY id")
            ).all()
        )
    finally:
        db.close()
    newest = load_key(key_path).ids[-1]
    assert [tuple(row) for row in rows] == [
        ("admin", "192.0.2.1", "sealing_key.rotate", newest),
        ("admin", "192.0.2.1", "sealing_key.rotated", newest),
    ]
    assert not any(key.hex()[:16] in newest for key in (*old.keys, b"n" * 32))
