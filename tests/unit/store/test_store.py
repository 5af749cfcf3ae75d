"""Several fronts that use one store at the same moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supervisor.errors import PlatformError
from supervisor.store import Content, StaleWriteError, value_queries
from supervisor.store.store import Store
from tests.support.stores import FIRST, at_once


@pytest.mark.slow
def test_deploys_from_many_fronts_at_once_give_each_its_own_version(opened):
    first = opened()
    first.create_function("demo", "hello", FIRST)

    def deployer(store: Store, content: Content) -> Callable[[], int]:
        def deploy() -> int:
            while True:
                try:
                    return store.deploy(store.function("demo", "hello"), content, 20)[0].active.number
                except StaleWriteError:
                    continue

        return deploy

    contents = [FIRST._replace(digest=f"{number:064x}") for number in range(8)]
    numbers = at_once(*(deployer(opened(), content) for content in contents))
    assert sorted(numbers) == list(range(2, 10))
    _, page = first.versions("demo", "hello", 100)
    by_number = {one.number: one.content for one in page.items}
    assert [by_number[number] for number in numbers] == contents
    assert first.function("demo", "hello").active.number == 9


@pytest.mark.slow
def test_one_of_many_creators_at_once_wins_and_the_others_are_told(opened):
    stores = [opened() for _ in range(6)]
    results = at_once(*(lambda one=one: one.create_function("demo", "hello", FIRST) for one in stores))
    refused = [one for one in results if isinstance(one, PlatformError)]
    assert [one.status for one in refused] == [409] * 5
    assert stores[0].versions("demo", "hello", 10)[1].items[0].number == 1


@pytest.mark.slow
def test_a_space_is_not_overfilled_by_values_set_at_once(opened, monkeypatch):
    monkeypatch.setattr(value_queries, "SPACE_MAX_VALUES", 3)
    stores = [opened() for _ in range(6)]
    results = at_once(
        *(
            lambda one=one, name=f"N{number}": one.put_value("demo", "secret", name, "x")
            for number, one in enumerate(stores)
        )
    )
    assert len([one for one in results if one is True]) == 3
    assert len(stores[0].list_values("demo", "secret")) == 3
