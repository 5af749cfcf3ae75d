"""Quotas that a deploy spends, on both stores."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from supervisor.errors import PlatformError
from supervisor.store import Actor, database
from supervisor.store.tenants import quota_queries
from tests.support.stores import FIRST, SECOND, at_once, executed, refusal

DIGESTS = [letter * 64 for letter in "0123456789"]


def put_bundles(store, size=100):
    """A bundle of so many bytes for each of DIGESTS."""
    for digest in DIGESTS:
        store.put_bundle(digest, lambda write: write(b"x" * size))


def content(number):
    return FIRST._replace(digest=DIGESTS[number])


def functions_of(store, space="demo"):
    return [one.name for one in store.functions(space, 100).items]


def test_a_space_has_no_quota_until_it_is_given_one(store):
    limits, held = store.quotas.limits("default")
    assert (limits, held.functions, held.bytes) == ({}, 0, 0)


def test_quotas_replace_those_before_and_none_removes_them(store, lookups):
    store.quotas.put("demo", {"functions": 3, "calls_per_minute": 60})
    first = lookups.quotas("demo")
    assert first.limits == {"functions": 3, "calls_per_minute": 60}
    store.quotas.put("demo", {"functions": 4})
    assert lookups.quotas("demo") == replace(first, limits={"functions": 4})  # the same counters
    store.quotas.put("demo", {})
    assert lookups.quotas("demo") is None
    store.quotas.put("demo", {"functions": 4})
    assert lookups.quotas("demo").id != first.id  # what was counted before does not count


def test_each_space_has_a_row_of_the_counters_of_its_own(store, lookups):
    for space in ("default", "demo"):
        store.quotas.put(space, {"functions": 1})
    assert {lookups.quotas(space).row for space in ("default", "demo")} == {0, 1}


def test_quotas_of_a_space_that_there_is_not_are_a_404(store):
    assert refusal(lambda: store.quotas.put("nowhere", {"functions": 1})).status == 404
    assert refusal(lambda: store.quotas.limits("nowhere")).status == 404


def test_more_spaces_than_counters_are_refused_with_what_to_do(store, monkeypatch):
    monkeypatch.setattr(quota_queries, "ROWS_MOST", 1)
    store.quotas.put("default", {"functions": 1})
    refused = refusal(lambda: store.quotas.put("demo", {"functions": 1}))
    assert refused.status == 409
    assert "remove those of another space" in refused.message


def test_a_change_of_quotas_is_in_the_audit_with_its_actor(store, url):
    store.acting_for(Actor("admin", "192.0.2.1")).quotas.put("demo", {"functions": 1})
    found = executed(url, "SELECT actor FROM audit WHERE action = 'quotas.update' AND space = 'demo'")
    assert found == "admin"


def test_the_function_above_the_quota_is_refused_and_nothing_of_it_is_stored(store):
    put_bundles(store)
    store.quotas.put("demo", {"functions": 2})
    store.create_function("demo", "a", content(0))
    store.create_function("demo", "b", content(1))
    refused = refusal(lambda: store.create_function("demo", "c", content(2)))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    assert refused.details == {
        "reason": "quota", "quota": "functions", "limit": 2, "used": 2, "resets_in_s": None,
    }  # fmt: skip
    assert functions_of(store) == ["a", "b"]
    store.create_function("default", "c", content(2))  # the control: another space has no quota
    store.delete_function("demo", "a")
    store.create_function("demo", "c", content(2))


@pytest.mark.promise("S215")
@pytest.mark.slow
def test_fronts_that_deploy_at_once_are_never_above_the_quota_together(opened):
    stores = [opened() for _ in range(4)]
    put_bundles(stores[0])
    stores[0].quotas.put("demo", {"functions": 3, "stored_bytes": 250})
    made = at_once(*(partial(stores[n % 4].create_function, "demo", f"f{n}", content(n)) for n in range(8)))
    assert [error.status for error in made if isinstance(error, PlatformError)] == [429] * 6
    _, held = stores[0].quotas.limits("demo")
    assert (held.functions, held.bytes) == (2, 200)


def test_code_above_the_quota_is_refused_and_each_bundle_counts_once(store):
    put_bundles(store)
    store.quotas.put("demo", {"stored_bytes": 200})
    first = store.create_function("demo", "a", content(0))
    store.create_function("demo", "b", content(0))  # the same code
    store.deploy(first, content(1), 20)
    changed = store.function("demo", "a")
    refused = refusal(lambda: store.deploy(changed, content(2), 20))
    assert (refused.status, refused.details["quota"], refused.details["used"]) == (429, "stored_bytes", 200)
    assert store.function("demo", "a").active.number == 2
    # With fewer versions there is room again.
    store.deploy(changed, content(2), 1)


def test_a_quota_below_what_is_stored_lets_a_deploy_through_that_stores_no_more(store):
    put_bundles(store)
    first = store.create_function("demo", "a", content(0))
    store.quotas.put("demo", {"stored_bytes": 1})
    changed, is_new = store.deploy(first, content(0)._replace(description="other"), 20)
    assert is_new
    assert refusal(lambda: store.deploy(changed, content(1), 20)).status == 429


def test_the_quota_of_versions_keeps_fewer_than_the_setting(store):
    put_bundles(store)
    store.quotas.put("demo", {"versions_kept": 2})
    function = store.create_function("demo", "a", content(0))
    for number in range(1, 5):
        function, _ = store.deploy(function, content(number), 20)
    _, page = store.versions("demo", "a", 100)
    assert [version.number for version in page.items] == [5, 4]


def test_a_quota_of_versions_that_is_lowered_holds_with_the_next_tidying(store):
    function = store.create_function("demo", "a", FIRST)
    other = store.create_function("default", "a", FIRST)
    for one in (function, other):
        for content_ in (SECOND, FIRST):
            one, _ = store.deploy(one, content_, 20)
    store.quotas.put("demo", {"versions_kept": 1})
    store.tidy(20, 0)
    assert len(store.versions("demo", "a", 100)[1].items) == 1
    assert len(store.versions("default", "a", 100)[1].items) == 3


def test_a_deploy_that_cannot_end_well_is_refused_before_its_code_is_looked_at(store):
    store.quotas.put("demo", {"functions": 0})
    assert refusal(lambda: store.quotas.check_room("demo", True)).details["quota"] == "functions"
    store.quotas.check_room("demo", False)


def test_a_space_that_is_created_begins_with_the_operators_quotas(store, url, lookups, monkeypatch):
    db = database.connect(url)
    now = store._now()
    db.write(lambda connection: quota_queries.begin_space(connection, "new", {"functions": 7}, now))
    assert lookups.quotas("new").limits == {"functions": 7}
    db.write(lambda connection: quota_queries.begin_space(connection, "other", {}, now))
    monkeypatch.setattr(quota_queries, "ROWS_MOST", 1)
    late = lambda connection: quota_queries.begin_space(connection, "late", {"functions": 7}, now)  # noqa: E731
    assert refusal(lambda: db.write(late)).status == 409
    assert lookups.quotas("other") is None
    db.close()
