"""Functions and their versions in the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from supervisor.store import Sealer, StaleWriteError, database, migrate
from supervisor.store.store import Store
from tests.support.stores import FIRST, KEY, SECOND, THIRD, executed, refusal


def test_a_new_function_is_active_at_version_1(store):
    made = store.create_function("demo", "hello", FIRST)
    assert (made.active.number, made.active.content) == (1, FIRST)
    assert len(made.id) == 26
    assert store.function("demo", "hello") == made


def test_the_gateway_sees_the_active_version(store, lookups):
    made = store.create_function("demo", "hello", FIRST)
    store.deploy(made, SECOND, 20)
    found = lookups.deployment("demo", "hello")
    assert (found.function_id, found.version, found.digest) == (made.id, 2, SECOND.digest)
    assert (found.template, found.env, found.options) == ("python3.11", {}, {"public": True})


def test_what_is_not_there_has_no_deployment(store, lookups):
    store.create_function("demo", "hello", FIRST)
    assert lookups.deployment("demo", "other") is None
    assert lookups.deployment("other", "hello") is None
    assert refusal(lambda: store.function("demo", "other")).status == 404


def test_a_name_is_taken_once_in_a_space_and_free_in_another(store):
    store.create_function("demo", "hello", FIRST)
    assert refusal(lambda: store.create_function("demo", "hello", SECOND)).status == 409
    assert store.create_function("other", "hello", SECOND).active.content == SECOND
    assert store.function("demo", "hello").active.content == FIRST


def test_the_same_content_again_makes_no_version(store):
    made = store.create_function("demo", "hello", FIRST)
    assert store.deploy(made, FIRST._replace(), 20) == (made, False)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "d" * 64},
        {"template": "python3.9"},
        {"description": "other"},
        {"env": {"A": "2"}},
        {"options": {"timeout": 3.0}},
    ],
)
def test_any_change_makes_a_version(store, change):
    made = store.create_function("demo", "hello", FIRST)
    changed, added = store.deploy(made, FIRST._replace(**change), 20)
    assert (added, changed.active.number, changed.id) == (True, 2, made.id)


def test_versions_are_listed_the_newest_first_and_keep_what_they_were(store):
    made = store.create_function("demo", "hello", FIRST)
    made, _ = store.deploy(made, SECOND, 20)
    store.deploy(made, THIRD, 20)
    found, page = store.versions("demo", "hello", 10)
    assert found.active.number == 3
    assert [(one.number, one.content) for one in page.items] == [(3, THIRD), (2, SECOND), (1, FIRST)]


def test_versions_come_in_pages(store):
    made = store.create_function("demo", "hello", FIRST)
    made, _ = store.deploy(made, SECOND, 20)
    store.deploy(made, THIRD, 20)
    _, first = store.versions("demo", "hello", 2)
    _, second = store.versions("demo", "hello", 2, before=2)
    assert ([one.number for one in first.items], first.more_after) == ([3, 2], True)
    assert ([one.number for one in second.items], second.more_after) == ([1], False)


def test_a_write_based_on_an_old_look_is_refused(store):
    made = store.create_function("demo", "hello", FIRST)
    store.deploy(made, SECOND, 20)
    with pytest.raises(StaleWriteError):
        store.deploy(made, THIRD, 20)
    assert store.function("demo", "hello").active.content == SECOND


def test_a_write_based_on_a_deleted_namesake_is_refused(store):
    made = store.create_function("demo", "hello", FIRST)
    store.delete_function("demo", "hello")
    assert refusal(lambda: store.deploy(made, SECOND, 20)).status == 404
    store.create_function("demo", "hello", FIRST)
    with pytest.raises(StaleWriteError):
        store.deploy(made, SECOND, 20)


def test_rolling_back_goes_to_the_version_before_or_the_one_asked_for(store, lookups):
    made = store.create_function("demo", "hello", FIRST)
    made, _ = store.deploy(made, SECOND, 20)
    store.deploy(made, THIRD, 20)
    for number, expected in ((None, 2), (None, 1), (3, 3), (3, 3)):
        found, version = store.version_to_roll_back_to("demo", "hello", number)
        assert store.activate(found, version).active.number == expected
        assert lookups.deployment("demo", "hello").version == expected


def test_a_number_is_never_given_twice_not_even_after_rolling_back(store):
    made = store.create_function("demo", "hello", FIRST)
    store.deploy(made, SECOND, 20)
    found, version = store.version_to_roll_back_to("demo", "hello", 1)
    changed, _ = store.deploy(store.activate(found, version), THIRD, 20)
    assert changed.active.number == 3


def test_rolling_back_where_nothing_is_before_or_there_is_no_such_version_is_refused(store):
    store.create_function("demo", "hello", FIRST)
    assert refusal(lambda: store.version_to_roll_back_to("demo", "hello", None)).status == 409
    assert refusal(lambda: store.version_to_roll_back_to("demo", "hello", 7)).status == 404
    assert refusal(lambda: store.version_to_roll_back_to("demo", "nobody", None)).status == 404


def test_a_rollback_based_on_an_old_look_is_refused(store):
    made = store.create_function("demo", "hello", FIRST)
    made, _ = store.deploy(made, SECOND, 20)
    found, version = store.version_to_roll_back_to("demo", "hello", 1)
    store.deploy(made, THIRD, 20)
    with pytest.raises(StaleWriteError):
        store.activate(found, version)


def test_a_deleted_function_is_gone_with_its_versions(store, url):
    made = store.create_function("demo", "hello", FIRST)
    store.deploy(made, SECOND, 20)
    assert store.delete_function("demo", "hello") == {FIRST.digest, SECOND.digest}
    assert store.digests() == frozenset()
    assert refusal(lambda: store.delete_function("demo", "hello")).status == 404
    assert executed(url, "SELECT count(*) FROM versions") == 0
    again = store.create_function("demo", "hello", THIRD)
    assert (again.active.number, again.id == made.id) == (1, False)


def test_every_bundle_that_a_version_names_is_known(store):
    made = store.create_function("demo", "hello", FIRST)
    store.deploy(made, SECOND, 20)
    store.create_function("other", "hello", SECOND)
    assert store.digests() == {FIRST.digest, SECOND.digest}


def test_functions_come_by_name_in_pages_both_ways(store):
    for name in ("d", "b", "e", "a", "c"):
        store.create_function("demo", name, FIRST)
    store.create_function("other", "x", FIRST)

    def names(**where: Any) -> tuple[str, bool, bool]:
        page = store.functions("demo", 2, **where)
        return "".join(one.name for one in page.items), page.more_before, page.more_after

    assert names() == ("ab", False, True)
    assert names(after="b") == ("cd", True, True)
    assert names(after="d") == ("e", True, False)
    assert names(before="e") == ("cd", True, True)
    assert names(before="c") == ("ab", False, True)


def test_times_are_those_of_the_clock(url):
    migrate(url)
    clock = [datetime(2020, 11, 6, 11, 4, 51)]
    store = Store(database.connect(url), Sealer(KEY), lambda: clock[0])
    made = store.create_function("demo", "hello", FIRST)
    clock[0] += timedelta(hours=1)
    store.deploy(made, SECOND, 20)
    found = store.function("demo", "hello")
    store.close()
    assert found.created_at == datetime(2020, 11, 6, 11, 4, 51)
    assert found.updated_at == found.active.created_at == datetime(2020, 11, 6, 12, 4, 51)
