"""Secrets and variables in the store."""

from __future__ import annotations

import pytest

from supervisor.errors import ConfigurationError
from supervisor.store import Sealer, open_lookups, value_queries
from tests.support.stores import executed, refusal


def test_values_come_back_as_they_were_set(store, lookups):
    assert store.put_value("demo", "secret", "TOKEN", "pä\x00ss") is True
    tree = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    assert store.put_value("demo", "variable", "tree", tree) is True
    assert store.put_value("demo", "variable", "none", None) is True
    found = lookups.values("demo")
    assert found.secrets == {"TOKEN": "pä\x00ss"}
    assert found.variables == {"tree": tree, "none": None}
    assert store.value("demo", "variable", "tree").value == tree


def test_a_value_set_again_is_replaced(store, lookups):
    store.put_value("demo", "secret", "TOKEN", "old")
    assert store.put_value("demo", "secret", "TOKEN", "new") is False
    assert lookups.values("demo").secrets == {"TOKEN": "new"}


def test_a_secret_and_a_variable_of_one_name_are_two_values(store, lookups):
    store.put_value("demo", "secret", "X", "s")
    store.put_value("demo", "variable", "X", "v")
    store.delete_value("demo", "variable", "X")
    assert lookups.values("demo").secrets == {"X": "s"}
    assert lookups.values("demo").variables == {}


def test_values_stay_in_their_space(store, lookups):
    store.put_value("demo", "secret", "TOKEN", "s")
    assert lookups.values("other").secrets == {}
    assert refusal(lambda: store.delete_value("other", "secret", "TOKEN")).status == 404


def test_a_secret_is_listed_and_shown_without_its_value(store, lookups):
    store.put_value("demo", "secret", "B", "hush")
    store.put_value("demo", "secret", "A", "hush")
    found = store.list_values("demo", "secret")
    assert [(one.name, one.value) for one in found] == [("A", None), ("B", None)]
    assert store.value("demo", "secret", "A").value is None
    assert "hush" not in repr(lookups.values("demo"))


def test_what_is_missing_is_a_404(store):
    assert refusal(lambda: store.value("demo", "secret", "X")).status == 404
    assert refusal(lambda: store.delete_value("demo", "variable", "X")).status == 404


def test_a_space_holds_only_so_many_values_but_each_can_be_replaced(store, monkeypatch):
    monkeypatch.setattr(value_queries, "SPACE_MAX_VALUES", 2)
    store.put_value("demo", "secret", "A", "1")
    store.put_value("demo", "variable", "B", 1)
    assert refusal(lambda: store.put_value("demo", "secret", "C", "1")).status == 422
    assert store.put_value("demo", "secret", "A", "2") is False
    assert store.put_value("other", "secret", "C", "1") is True


def test_a_space_holds_only_so_many_bytes(store, lookups, monkeypatch):
    monkeypatch.setattr(value_queries, "SPACE_MAX_BYTES", 100)
    store.put_value("demo", "secret", "A", "x" * 90)
    assert refusal(lambda: store.put_value("demo", "secret", "B", "x" * 20)).status == 422
    assert store.put_value("demo", "secret", "A", "x" * 99) is False
    assert refusal(lambda: store.put_value("demo", "secret", "A", "x" * 100)).status == 422
    assert lookups.values("demo").secrets == {"A": "x" * 99}


def test_a_store_sealed_with_another_key_is_not_opened(store, url):
    store.put_value("demo", "secret", "TOKEN", "x")
    with pytest.raises(ConfigurationError, match=r"sealing\.key"):
        open_lookups(url, Sealer(b"o" * 32))


@pytest.mark.promise("T26")
def test_a_value_moved_to_another_name_in_the_database_is_not_believed(store, lookups, url):
    store.put_value("demo", "secret", "ADMIN", "good")
    executed(url, "UPDATE space_values SET name = 'OTHER'")
    assert refusal(lambda: lookups.values("demo")).status == 500
