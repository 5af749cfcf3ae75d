"""Labels and aliases in the store: the same promises on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.errors import PlatformError
from supervisor.store import Actor, Alias, WantedAlias
from supervisor.store.store import Store
from tests.support.stores import FIRST, SECOND, THIRD, at_once, executed, refusal

SHOP = ("demo", "shop")


def anything(*_: Any) -> None:
    """A precondition that always holds."""


def three(store: Store, kept: int = 20) -> None:
    """A function with three versions."""
    made = store.create_function(*SHOP, FIRST)
    second, _ = store.deploy(made, SECOND, kept)
    store.deploy(second, THIRD, kept)


def put(store: Store, name: str, version: int, canary: int | None = None, share: int = 0) -> Alias:
    _, made, _ = store.aliases.put(*SHOP, WantedAlias(name, version, canary, share), anything)
    return made


def test_an_alias_is_kept_as_it_was_set_and_read_by_the_fronts(store, lookups):
    three(store)
    made = put(store, "prod", 1, 3, 1234)
    put(store, "beta", 2)
    function, found = store.aliases.of(*SHOP)
    assert [alias.name for alias in found] == ["beta", "prod"] and found[1] == made
    assert function.active.number == 3
    prod, beta = sorted(lookups.aliases(*SHOP), key=lambda alias: -alias.share)
    assert (prod.name, prod.version, prod.canary, prod.share) == ("prod", 1, 3, 1234)
    assert prod.options == {1: FIRST.options, 3: THIRD.options} and beta.options == {2: SECOND.options}
    assert {(key, alias.name) for key, alias in lookups.all_aliases()} == {(SHOP, "prod"), (SHOP, "beta")}
    found = lookups.deployment_of(*SHOP, 2)
    assert (found.version, found.digest, found.function_id) == (2, SECOND.digest, function.id)
    assert lookups.deployment_of(*SHOP, 9) is None and lookups.aliases("demo", "other") == ()
    put(store, "prod", 2)
    assert store.aliases.one(*SHOP, "prod")[1].canary is None
    store.aliases.delete(*SHOP, "prod", anything)
    assert refusal(lambda: store.aliases.one(*SHOP, "prod")).status == 404
    assert refusal(lambda: store.aliases.delete(*SHOP, "prod", anything)).status == 404
    assert refusal(lambda: store.aliases.of("demo", "no-such")).status == 404


def test_versions_that_an_alias_names_outlive_all_that_deletes_old_ones(store, url):
    three(store)
    put(store, "prod", 1, 2, 1)
    function = store.function(*SHOP)
    for number in range(4):
        function, _ = store.deploy(function, THIRD._replace(description=str(number)), 1)
    _, page = store.versions(*SHOP, 10)
    assert [version.number for version in page.items] == [7, 2, 1]
    store.tidy(1, 0)
    assert [version.number for version in store.versions(*SHOP, 10)[1].items] == [7, 2, 1]
    put(store, "prod", 2)
    store.tidy(1, 0)
    assert [version.number for version in store.versions(*SHOP, 10)[1].items] == [7, 2]
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        executed(url, "DELETE FROM versions WHERE number = 2")


def test_what_an_alias_cannot_name_is_refused_and_leaves_everything_as_it_was(store):
    three(store)
    before = put(store, "prod", 1)
    for wanted in (
        WantedAlias("prod", 9, None, 0),
        WantedAlias("prod", 1, 9, 5),
        WantedAlias("new", 9, None, 0),
    ):
        assert refusal(lambda wanted=wanted: store.aliases.put(*SHOP, wanted, anything)).status == 422

    def refuses(*_: Any) -> None:
        raise PlatformError(412, "no")

    assert refusal(lambda: store.aliases.put(*SHOP, WantedAlias("prod", 2, None, 0), refuses)).status == 412
    assert refusal(lambda: store.aliases.delete(*SHOP, "prod", refuses)).status == 412
    assert refusal(lambda: store.aliases.put_label(*SHOP, 1, "x", refuses)).status == 412
    assert refusal(lambda: store.delete_function(*SHOP, refuses)).status == 412
    assert store.aliases.of(*SHOP)[1] == (before,)


def test_of_two_conditional_changes_at_once_one_is_made(opened):
    """Both have seen the same state; each looks at it again in its own transaction."""
    store = opened()
    three(store)
    put(store, "prod", 1)

    def only_at_1(_function: Any, before: Alias | None, _versions: Any) -> None:
        if before is None or before.version != 1:
            raise PlatformError(412, "no")

    stores = [opened() for _ in range(4)]
    wanted = [WantedAlias("prod", 2 + index % 2, None, 0) for index in range(4)]
    results = at_once(
        *(
            lambda one=one, each=each: one.aliases.put(*SHOP, each, only_at_1)
            for one, each in zip(stores, wanted, strict=True)
        )
    )
    assert sorted(isinstance(result, PlatformError) and result.status for result in results) == [
        False, 412, 412, 412
    ]  # fmt: skip


def test_a_label_is_of_one_version_of_a_function_at_a_time(opened, url):
    store, other = opened(), opened()
    three(store)
    store.create_function("demo", "other", FIRST, "v1")
    assert store.aliases.put_label(*SHOP, 1, "v1", anything)[1].label == "v1", "another function's is its own"
    taken = refusal(lambda: store.aliases.put_label(*SHOP, 2, "v1", anything))
    assert (taken.status, taken.details) == (409, {"field": "label", "version": 1})
    results = at_once(
        lambda: store.aliases.put_label(*SHOP, 2, "v2", anything),
        lambda: other.aliases.put_label(*SHOP, 3, "v2", anything),
    )
    assert sorted(getattr(result, "status", 0) for result in results) == [0, 409]
    labels = [version.label for version in store.versions(*SHOP, 10)[1].items]
    assert labels in (["v2", None, "v1"], [None, "v2", "v1"])
    store.aliases.put_label(*SHOP, 1, None, anything)
    store.aliases.put_label(*SHOP, 1, None, anything)
    assert store.aliases.version(*SHOP, 1)[1].label is None
    before = executed(url, "SELECT COUNT(*) FROM versions")
    store.delete_function(*SHOP)
    assert executed(url, "SELECT COUNT(*) FROM versions") == before - 3
    assert executed(url, "SELECT COUNT(*) FROM version_labels") == 1
    assert executed(url, "SELECT COUNT(*) FROM aliases") == 0


def test_a_deploy_labels_the_version_that_it_makes_or_finds(store):
    made = store.create_function(*SHOP, FIRST, "v1")
    assert made.active.label == store.function(*SHOP).active.label == "v1"
    again, is_new = store.deploy(made, FIRST, 20, "v1.0")
    assert (is_new, again.active.label, store.function(*SHOP).active.label) == (False, "v1.0", "v1.0")
    assert refusal(lambda: store.deploy(again, SECOND, 20, "v1.0")).status == 409
    assert store.function(*SHOP).active.number == 1, "nothing of it was stored"
    assert store.deploy(again, SECOND, 20, "v2")[0].active.label == "v2"


def test_each_change_leaves_its_line_and_the_deployer_is_known(store, url):
    made = store.acting_for(Actor("key:one")).create_function(*SHOP, FIRST)
    acting = store.acting_for(Actor("key:two", "192.0.2.1"))
    acting.deploy(made, SECOND, 20)
    acting.aliases.put(*SHOP, WantedAlias("prod", 1, 2, 550), anything)
    acting.aliases.put_label(*SHOP, 1, "a-label", anything)
    acting.aliases.put_label(*SHOP, 1, None, anything)
    acting.aliases.delete(*SHOP, "prod", anything)
    assert [store.aliases.deployed_by(*SHOP, number) for number in (1, 2, 3)] == ["key:one", "key:two", None]
    for action, target in (
        ("alias.update", "shop@prod"),
        ("alias.delete", "shop@prod"),
        ("label.update", "shop"),
        ("label.delete", "shop"),
    ):
        where = f"FROM audit WHERE action = '{action}' AND target = '{target}' AND actor = 'key:two'"
        assert executed(url, f"SELECT COUNT(*) {where}") == 1
    assert "a-label" not in str(executed(url, "SELECT details FROM audit WHERE action = 'label.update'"))
