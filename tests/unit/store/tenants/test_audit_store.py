"""The audit: a line for each change in its own transaction, read in pages, deleted by age alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from supervisor.store import Actor
from supervisor.store.store import Store
from supervisor.store.tenants import audit_store
from tests.support.stores import FIRST, SECOND, executed, refusal

ADMIN = Actor("admin", "192.0.2.1")


def actions(store: Store, **wanted: object) -> list[str]:
    return [line.action for line in store.audit.page(100, **wanted).items]  # type: ignore[arg-type]


def test_every_change_leaves_one_line_with_who_what_and_from_where(store: Store, url: str) -> None:
    acting = store.acting_for(ADMIN)
    acting.spaces.create("acme", "title")
    made = acting.create_function("acme", "hello", FIRST)
    changed, _ = acting.deploy(made, SECOND, 20)
    acting.deploy(changed, SECOND, 20)  # changes nothing
    acting.activate(changed, made.active)
    acting.put_value("acme", "secret", "KEY", "s3cret-value")
    acting.put_value("acme", "variable", "N", "another-value")
    acting.delete_value("acme", "secret", "KEY")
    acting.spaces.change("acme", title="new", is_suspended=True)
    acting.spaces.change("acme", title="new", is_suspended=True)  # changes nothing
    acting.spaces.change("acme", is_suspended=False)
    acting.delete_function("acme", "hello")
    acting.spaces.begin_delete("acme")
    acting.audit.record("zygotes.renew", "python3.11")
    assert actions(store, space="acme") == [
        "space.delete", "function.delete", "space.resume", "space.suspend", "space.update", "secret.delete",
        "variable.update", "secret.update", "function.activate", "function.update", "function.create",
        "space.create",
    ]  # fmt: skip
    newest = store.audit.page(1).items[0]
    assert (newest.space, newest.action, newest.target) == (None, "zygotes.renew", "python3.11")
    assert (newest.actor, newest.address) == ("admin", "192.0.2.1")
    for value in ("s3cret-value", "another-value"):
        found = f"SELECT count(*) FROM audit WHERE CAST(details AS TEXT) LIKE '%{value}%'"
        assert executed(url, found) == 0


def test_a_change_that_is_refused_leaves_no_line(store: Store) -> None:
    before = actions(store)
    refusal(lambda: store.delete_value("demo", "secret", "KEY"))
    refusal(lambda: store.spaces.create("demo", ""))
    assert actions(store) == before


def test_lines_are_read_in_pages_from_the_newest_by_action_and_time(store: Store) -> None:
    for number in range(5):
        store.put_value("demo", "secret", f"K{number}", "x")
    store.put_value("demo", "variable", "N", 1)
    first = store.audit.page(2, space="demo")
    assert [line.target for line in first.items] == ["N", "K4"]
    second = store.audit.page(2, space="demo", before=first.items[-1].id)
    assert [line.target for line in second.items] == ["K3", "K2"]
    assert (first.more_after, second.more_before) == (True, True)
    assert actions(store, space="demo", action="variable") == ["variable.update"]
    assert actions(store, space="demo", action="secret.delete") == []
    assert actions(store, space="demo", action="secre") == []
    now = datetime.now(UTC).replace(tzinfo=None)
    assert len(actions(store, space="demo", since=now - timedelta(minutes=1))) == 6
    assert actions(store, since=now + timedelta(minutes=1)) == []


def test_old_lines_are_deleted_in_batches_and_no_others(store: Store, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(audit_store, "BATCH_LINES", 2)
    for number in range(5):
        store.put_value("demo", "secret", f"K{number}", "x")
    lines = len(actions(store))
    assert store.audit.forget_old(60) == 0
    assert store.audit.forget_old(-60) == lines  # a minute from now
    assert actions(store) == []
