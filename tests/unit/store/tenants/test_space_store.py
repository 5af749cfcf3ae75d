"""Spaces in the store: created, titled, suspended, deleted with everything of theirs."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from supervisor.store import Actor, Lookups, Sealer, StaleWriteError, StoredFunction, database, migrate
from supervisor.store.schema import metadata
from supervisor.store.store import Store, open_store
from supervisor.store.tenants import space_queries
from tests.support.stores import FIRST, KEY, SECOND, THIRD, at_once, executed, refusal

TENANT = Actor("key:1", "192.0.2.1")


def names(store: Store) -> list[str]:
    return [one.name for one in store.spaces.page(100).items]


@pytest.mark.promise("S206")
def test_default_and_demo_exist_from_the_first_start_and_others_when_they_are_created(store: Store) -> None:
    assert names(store) == ["default", "demo", "other"]
    made = store.spaces.create("acme", "Acme Ltd")
    assert (made.name, made.title, made.suspended) == ("acme", "Acme Ltd", False)
    assert store.spaces.one("acme") == made
    assert names(store) == ["acme", "default", "demo", "other"]


def test_a_name_is_given_once_also_at_the_same_moment(opened: Callable[[], Store]) -> None:
    stores = [opened(), opened()]
    results = at_once(*(lambda one=one: one.spaces.create("acme", "") for one in stores))
    assert sorted(getattr(one, "status", 201) for one in results) == [201, 409]


def test_spaces_are_listed_in_pages_and_only_what_the_caller_may_see(store: Store) -> None:
    first = store.spaces.page(2)
    assert ([one.name for one in first.items], first.more_after) == (["default", "demo"], True)
    second = store.spaces.page(2, after="demo")
    assert ([one.name for one in second.items], second.more_after) == (["other"], False)
    assert [one.name for one in store.spaces.page(2, only="demo").items] == ["demo"]


def test_nothing_can_be_written_into_or_read_from_a_space_that_was_not_created(store: Store) -> None:
    for work in (
        lambda: store.create_function("dmeo", "hello", FIRST),
        lambda: store.put_value("dmeo", "secret", "KEY", "x"),
        lambda: store.delete_value("dmeo", "secret", "KEY"),
        lambda: store.delete_function("dmeo", "hello"),
        lambda: store.function("dmeo", "hello"),
        lambda: store.value("dmeo", "secret", "KEY"),
        lambda: store.spaces.require("dmeo"),
        lambda: store.spaces.one("dmeo"),
        lambda: store.spaces.change("dmeo", "title"),
        lambda: store.spaces.begin_delete("dmeo"),
    ):
        error = refusal(work)
        assert error.status == 404
        assert "no space 'dmeo'; did you mean 'demo'?" in error.message


def test_a_suspended_space_is_changed_by_the_administrator_only_and_loses_nothing(
    store: Store, lookups: Lookups
) -> None:
    made = store.create_function("demo", "hello", FIRST)
    store.put_value("demo", "secret", "KEY", "x")
    _, after = store.spaces.change("demo", is_suspended=True)
    assert after.suspended and store.spaces.one("demo").suspended
    tenant = store.acting_for(TENANT)
    for work in (
        lambda: tenant.create_function("demo", "second", FIRST),
        lambda: tenant.deploy(made, SECOND, 20),
        lambda: tenant.activate(made, made.active),
        lambda: tenant.delete_function("demo", "hello"),
        lambda: tenant.put_value("demo", "secret", "KEY", "y"),
        lambda: tenant.delete_value("demo", "secret", "KEY"),
    ):
        assert refusal(work).status == 403
    assert store.function("demo", "hello") == made
    found = lookups.deployment("demo", "hello")
    assert found is not None and found.is_suspended
    assert store.acting_for(Actor("admin")).deploy(made, SECOND, 20)[1]
    store.spaces.change("demo", is_suspended=False)
    found = lookups.deployment("demo", "hello")
    assert found is not None and not found.is_suspended
    assert tenant.put_value("demo", "secret", "KEY", "y") is False


def test_a_delete_takes_every_row_of_the_space_and_none_of_another(store: Store, url: str) -> None:
    for space in ("demo", "other"):
        store.create_function(space, "hello", FIRST)
        store.put_value(space, "secret", "KEY", "x")
        store.put_value(space, "variable", "N", 1)
    assert store.spaces.begin_delete("demo") == ("hello",)
    for table in metadata.sorted_tables:
        if "space" in table.c and table.name not in space_queries.KEPT:
            counted = f"SELECT count(*) FROM {table.name} WHERE space = 'demo'"
            assert executed(url, counted) == 0, table.name
    assert executed(url, "SELECT count(*) FROM versions") == 1
    assert store.function("other", "hello").active.content == FIRST
    assert refusal(lambda: store.function("demo", "hello")).status == 404


def test_every_table_with_a_space_is_deleted_or_named_as_kept() -> None:
    assert {"audit"} <= space_queries.KEPT <= {table.name for table in metadata.sorted_tables}


def test_a_name_is_free_once_the_delete_has_ended_and_then_nothing_of_the_old_space_is_there(
    store: Store,
) -> None:
    store.put_value("demo", "variable", "N", 1)
    store.spaces.begin_delete("demo")
    assert store.spaces.deleting() == ("demo",)
    assert "demo" not in names(store)
    error = refusal(lambda: store.spaces.create("demo", ""))
    assert (error.status, "being deleted" in error.message) == (409, True)
    store.spaces.end_delete("demo")
    assert store.spaces.deleting() == ()
    store.spaces.create("demo", "")
    assert store.list_values("demo", "variable") == ()


def put_bundle(store: Store, digest: str) -> None:
    store.put_bundle(digest, lambda emit: emit(b"piece"))


def test_only_bundles_that_nobody_else_names_go_with_a_space(store: Store, url: str) -> None:
    for content in (FIRST, SECOND, THIRD):
        put_bundle(store, content.digest)
    store.create_function("demo", "shared", FIRST, needs_bundle=True)
    store.create_function("demo", "own", SECOND, needs_bundle=True)
    store.create_function("other", "shared", FIRST, needs_bundle=True)
    store.spaces.begin_delete("demo")
    assert store.spaces.marked_bundles() == (SECOND.digest,)
    store.spaces.delete_bundles([SECOND.digest, FIRST.digest])
    assert executed(url, "SELECT count(*) FROM bundles") == 2
    assert executed(url, "SELECT count(*) FROM bundle_pieces") == 2


def test_a_deploy_whose_bundle_went_with_another_space_is_told_to_put_it_again(store: Store) -> None:
    put_bundle(store, FIRST.digest)
    store.create_function("demo", "hello", FIRST)
    store.spaces.begin_delete("demo")
    store.spaces.delete_bundles([FIRST.digest])
    with pytest.raises(StaleWriteError):
        store.create_function("other", "hello", FIRST, needs_bundle=True)
    put_bundle(store, FIRST.digest)
    assert store.create_function("other", "hello", FIRST, needs_bundle=True)


@pytest.mark.promise("S207")
def test_a_change_and_a_delete_of_its_space_cannot_cross(opened: Callable[[], Store], url: str) -> None:
    """Two connections: whichever is first, no row is left of a space that was deleted."""
    stores = [opened(), opened()]
    for number in range(20):
        space = f"round-{number}"
        stores[0].spaces.create(space, "")
        results = at_once(
            lambda space=space: stores[0].create_function(space, "hello", FIRST),  # type: ignore[misc]
            lambda space=space: stores[1].spaces.begin_delete(space),  # type: ignore[misc]
        )
        is_made = isinstance(results[0], StoredFunction)
        assert is_made or results[0].status == 404, results
        assert results[1] == (("hello",) if is_made else ()), results
        assert executed(url, f"SELECT count(*) FROM functions WHERE space = '{space}'") == 0


def test_a_delete_waits_for_a_change_that_has_begun(opened: Callable[[], Store], url: str) -> None:
    """Without the row's lock the delete would not see what the open transaction adds."""
    store = opened()
    db = database.connect(url)
    is_held, go_on = threading.Event(), threading.Event()
    deleted: list[object] = []

    def change(connection: sa.Connection) -> None:
        space_queries.require_for_change(connection, "demo", Actor("admin"))
        is_held.set()
        assert go_on.wait(20)
        space_values = metadata.tables["space_values"]
        row = {"space": "demo", "kind": "variable", "name": "N", "sealed": b"x", "size": 1}
        connection.execute(space_values.insert().values(**row, updated_at=datetime(2026, 1, 1)))

    changing = threading.Thread(target=lambda: db.write(change))
    deleting = threading.Thread(target=lambda: deleted.append(store.spaces.begin_delete("demo")))
    changing.start()
    assert is_held.wait(20)
    deleting.start()
    deleting.join(0.3)
    assert not deleted, "the delete did not wait"
    go_on.set()
    for thread in (changing, deleting):
        thread.join(30)
    db.close()
    assert deleted == [()]
    assert executed(url, "SELECT count(*) FROM space_values") == 0


def test_no_copy_of_a_deleted_row_is_left_between_others_once_the_store_is_rewritten(tmp_path: Path) -> None:
    """Rows that SQLite moved to make room leave copies, which ``secure_delete`` does not reach: the control.

    Which rows move follows from the sizes, so two stores are tried.
    """
    copies = 0
    for seed in (2, 5):
        file = tmp_path / f"{seed}.db"
        migrate(f"sqlite:///{file}")
        with closing(open_store(f"sqlite:///{file}", Sealer(KEY))) as store:
            db = database.connect(f"sqlite:///{file}")
            db.write(partial(fill_and_thin, drawn=random.Random(seed)))
            assert names_in_file(db, file) > 100
            store.spaces.begin_delete("demo")
            copies += names_in_file(db, file)
            assert store.spaces.shred()
            assert names_in_file(db, file) == 0
            db.close()
    assert copies, "the control: rewriting has removed nothing"


def fill_and_thin(connection: sa.Connection, drawn: random.Random) -> None:
    table = metadata.tables["space_values"]
    there: list[tuple[str, str]] = []
    for _ in range(3000):
        if there and drawn.random() < 0.45:
            space, name = there.pop(drawn.randrange(len(there)))
            connection.execute(table.delete().where(table.c.space == space, table.c.name == name))
            continue
        space = drawn.choice(["demo", "default"])
        name = f"{'qz' if space == 'demo' else 'ok'}{drawn.randrange(10**9)}"
        there.append((space, name))
        row = {"space": space, "kind": "secret", "name": name, "sealed": bytes(drawn.randrange(1, 900))}
        connection.execute(table.insert().values(**row, size=1, updated_at=datetime(2026, 1, 1)))


def names_in_file(db: database.Database, file: Path) -> int:
    with closing(db.engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file.read_bytes().count(b"secretqz")
