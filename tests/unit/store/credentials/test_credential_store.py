"""Apps, keys and tokens in both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from supervisor.store import Actor, Sealer, database
from supervisor.store.credentials import app_queries, credential_rows
from supervisor.store.credentials.credential_records import Grant
from supervisor.store.credentials.credential_store import ACCESS_TOKEN_SECONDS, ForeignTokenError
from supervisor.store.store import Store
from supervisor.tenancy.token_format import kind_of, stored_digest
from tests.support.stores import KEY, at_once, executed, refusal

GRANT = Grant(("function.invoke", "log.read"), ("hello",))


class Clock:
    """Says the time that a test wants."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(url, clock, store):
    """The store with a clock of the test's."""
    one = Store(database.connect(url), Sealer(KEY), clock, Actor("admin", "192.0.2.1"))
    yield one
    one.close()


def found(lookups, secret: str):
    return lookups.credentials.find(kind_of(secret.encode()), stored_digest(secret.encode()))


def revision(lookups) -> int:
    return lookups.credentials.revision()


def test_a_key_is_found_by_its_digest_with_all_that_it_grants(store, lookups):
    until = datetime(2031, 2, 3, 4, 5, 6)
    made, secret = store.credentials.create_key("demo", "ci", GRANT, until)
    one = found(lookups, secret)
    assert (one.name, one.space, one.grant, one.expires_at) == (f"key:{made.id}", "demo", GRANT, until)
    made, secret = store.credentials.create_key("demo", "other", Grant(("function",)), None)
    assert (found(lookups, secret).grant, found(lookups, secret).expires_at) == (Grant(("function",)), None)
    assert lookups.credentials.find("key", "0" * 64) is None


def test_a_deleted_key_is_nobodys_and_counts_a_revision(store, lookups):
    made, secret = store.credentials.create_key("demo", "ci", GRANT, None)
    before = revision(lookups)
    assert refusal(lambda: store.credentials.delete_key("default", made.id)).status == 404, "another space's"
    assert found(lookups, secret) is not None and revision(lookups) == before
    store.credentials.delete_key("demo", made.id)
    assert found(lookups, secret) is None and revision(lookups) == before + 1
    assert refusal(lambda: store.credentials.delete_key("demo", made.id)).status == 404


def test_an_app_authenticates_with_its_secret_alone(store):
    app, secret = store.credentials.create_app("demo", "ci", GRANT)
    other, others = store.credentials.create_app("demo", "other", GRANT)
    assert store.credentials.authenticated(app.client_id, secret.encode()) == app
    for client_id, wrong in (
        (app.client_id, others), (other.client_id, secret), ("", secret), (app.client_id, ""),
        (app.client_id, secret[:-1]), ("0" * 26, secret), (app.client_id, stored_digest(secret.encode())),
    ):  # fmt: skip
        assert store.credentials.authenticated(client_id, wrong.encode()) is None


def test_a_rotation_has_two_secrets_for_a_while_and_never_three(timed, clock):
    app, first = timed.credentials.create_app("demo", "ci", GRANT)

    def works(secret: str) -> bool:
        return timed.credentials.authenticated(app.client_id, secret.encode()) is not None

    _, second, until = timed.credentials.rotate_app("demo", app.client_id, 60)
    assert until == clock.now + timedelta(seconds=60)
    assert works(first) and works(second)
    clock.now = until
    assert not works(first) and works(second)
    _, third, _ = timed.credentials.rotate_app("demo", app.client_id, 60)
    _, fourth, _ = timed.credentials.rotate_app("demo", app.client_id, 60)
    assert [works(one) for one in (first, second, third, fourth)] == [False, False, True, True]
    _, fifth, _ = timed.credentials.rotate_app("demo", app.client_id, 0)
    assert [works(one) for one in (third, fourth, fifth)] == [False, False, True]
    assert refusal(lambda: timed.credentials.rotate_app("default", app.client_id, 0)).status == 404


def test_a_token_ends_with_its_time_its_revocation_or_its_app(timed, clock, lookups):
    app, _ = timed.credentials.create_app("demo", "ci", GRANT)
    other, _ = timed.credentials.create_app("default", "ci", GRANT)
    token = timed.credentials.issue_token(app, ("log.read",))
    one = found(lookups, token)
    assert (one.name, one.space, one.grant) == (
        f"app:{app.client_id}",
        "demo",
        Grant(("log.read",), ("hello",)),
    )
    assert one.expires_at == clock.now + timedelta(seconds=ACCESS_TOKEN_SECONDS)
    with pytest.raises(ForeignTokenError):
        timed.credentials.revoke_token(other, token.encode())
    before = revision(lookups)
    assert timed.credentials.revoke_token(app, token.encode()) is True
    assert found(lookups, token) is None and revision(lookups) == before + 1
    assert timed.credentials.revoke_token(app, token.encode()) is False, "a second time"
    session = timed.credentials.issue_token(app, ("log.read",))
    timed.credentials.delete_app("demo", app.client_id)
    assert found(lookups, session) is None and revision(lookups) == before + 2
    assert timed.credentials.issue_token(app, ("log.read",)) is None, "of an app that is gone"


def test_an_app_has_a_bound_of_tokens_and_expired_ones_make_room(timed, clock, monkeypatch):
    monkeypatch.setattr(app_queries, "TOKENS_MOST", 2)
    app, _ = timed.credentials.create_app("demo", "ci", GRANT)
    for _ in range(2):
        timed.credentials.issue_token(app, ("log.read",))
    clock.now += timedelta(seconds=100)
    error = refusal(lambda: timed.credentials.issue_token(app, ("log.read",)))
    assert (error.status, error.headers["Retry-After"]) == (429, str(ACCESS_TOKEN_SECONDS - 100 + 1))
    clock.now += timedelta(seconds=ACCESS_TOKEN_SECONDS)
    timed.credentials.issue_token(app, ("log.read",))


def test_names_are_taken_once_in_a_space_and_a_space_has_so_many(store, monkeypatch):
    for create in (
        lambda space, name: store.credentials.create_key(space, name, GRANT, None),
        lambda space, name: store.credentials.create_app(space, name, GRANT),
    ):
        create("demo", "ci")
        assert refusal(lambda create=create: create("demo", "ci")).status == 409
        create("default", "ci")
        monkeypatch.setattr(credential_rows, "CREDENTIALS_MOST", 1)
        assert refusal(lambda create=create: create("demo", "two")).status == 422
        monkeypatch.undo()


@pytest.mark.slow
def test_of_many_that_make_one_of_a_name_at_once_one_wins(opened):
    stores = [opened() for _ in range(4)]
    made = at_once(*(lambda one=one: one.credentials.create_key("demo", "ci", GRANT, None) for one in stores))
    assert sorted(type(one).__name__ for one in made).count("tuple") == 1
    assert len(stores[0].credentials.keys("demo", 10).items) == 1


def test_lists_go_in_pages_and_show_no_other_space(store):
    made = [store.credentials.create_key("demo", f"k{number}", GRANT, None)[0] for number in range(5)]
    store.credentials.create_key("default", "k", GRANT, None)
    ids = sorted(one.id for one in made)
    first = store.credentials.keys("demo", 2)
    assert ([one.id for one in first.items], first.more_before, first.more_after) == (ids[:2], False, True)
    second = store.credentials.keys("demo", 2, after=ids[1])
    assert ([one.id for one in second.items], second.more_before, second.more_after) == (ids[2:4], True, True)
    last = store.credentials.keys("demo", 2, after=ids[3])
    assert ([one.id for one in last.items], last.more_after) == (ids[4:], False)
    back = store.credentials.keys("demo", 2, before=ids[2])
    assert ([one.id for one in back.items], back.more_before) == (ids[:2], False)


def test_no_secret_is_in_any_byte_of_the_database_and_each_change_is_in_the_audit(timed, url):
    app, secret = timed.credentials.create_app("demo", "ci", GRANT)
    _, second, _ = timed.credentials.rotate_app("demo", app.client_id, 60)
    token = timed.credentials.issue_token(app, ("log.read",))
    key, sent = timed.credentials.create_key("demo", "ci", GRANT, datetime(2031, 1, 1))
    timed.credentials.revoke_token(app, token.encode())
    timed.credentials.delete_key("demo", key.id)
    timed.credentials.note_refused({"192.0.2.9": 7})
    db = database.connect(url)
    metadata = sa.MetaData()
    metadata.reflect(db.engine)
    with db.snapshot() as connection:
        everything = "".join(
            repr(tuple(row))
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table))
        )
        actions = connection.execute(
            sa.select(metadata.tables["audit"].c.action, metadata.tables["audit"].c.actor).order_by("id")
        ).all()
    db.close()
    assert app.client_id in everything, "the control"
    for one in (secret, second, token, sent):
        assert one not in everything and one[7:50] not in everything
    actions = [row for row in actions if row.action != "space.create"]
    assert sorted(row.action for row in actions) == [
        "app.create", "app.rotate", "credential.refused", "key.create", "key.delete", "token.revoke",
    ]  # fmt: skip
    assert {row.actor for row in actions} == {"admin"}


def test_nothing_of_a_space_stays_once_its_credentials_are_deleted(store, lookups, url):
    app, _ = store.credentials.create_app("demo", "ci", GRANT)
    token = store.credentials.issue_token(app, ("log.read",))
    _, key = store.credentials.create_key("demo", "ci", GRANT, None)
    _, other = store.credentials.create_key("default", "ci", GRANT, None)
    before = revision(lookups)
    db = database.connect(url)
    db.write(lambda connection: credential_rows.delete_of_space(connection, "demo"))
    db.close()
    assert found(lookups, token) is None and found(lookups, key) is None
    assert found(lookups, other) is not None and revision(lookups) == before + 1
    assert executed(url, "SELECT count(*) FROM app_secrets") == 0
