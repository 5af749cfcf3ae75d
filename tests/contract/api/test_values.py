"""Secrets and variables."""

from __future__ import annotations

import pytest

from tests.support.api import refused


def test_a_secret_is_set_replaced_listed_and_deleted_but_never_shown(api):
    path = "/spaces/demo/secrets/TOKEN"
    first, second = (api("PUT", path, {"value": value}) for value in ("hunter2", "hunter3"))
    assert (first.status_code, second.status_code) == (201, 204)
    listed, shown = api("GET", "/spaces/demo/secrets"), api("GET", path)
    assert [set(one) for one in listed.json()["data"]] == [{"name", "updated_at"}]
    assert set(shown.json()) == {"name", "updated_at"}
    assert "hunter" not in listed.text + shown.text + first.text + second.text
    assert api.lookups.values("demo").secrets == {"TOKEN": "hunter3"}
    assert api.control.told == [("values", "demo")] * 2
    assert api("DELETE", path).status_code == 204
    assert api.control.told == [("values", "demo")] * 3
    refused(api("GET", path), 404, "secret not found")
    refused(api("DELETE", path), 404, "secret not found")


@pytest.mark.promise("T25")
def test_a_secret_is_nowhere_on_disk_in_the_open(api, tmp_path):
    api("PUT", "/spaces/demo/secrets/TOKEN", {"value": "hunter2-hunter2"})
    api("PUT", "/spaces/demo/variables/V", {"value": "plain-variable"})
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hunter2" not in everything
    assert b"plain-variable" not in everything


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "ü", [], [1, [2]], {"a": {"b": None}}, 2**64 - 1])
def test_a_variable_is_any_json(api, value):
    path = "/spaces/demo/variables/my.var-1"
    assert api("PUT", path, {"value": value}).status_code == 201
    assert api("GET", path).json()["value"] == value
    assert api("GET", "/spaces/demo/variables").json()["data"][0]["value"] == value
    assert api("PUT", path, {"value": value}).status_code == 204
    assert api("DELETE", path).status_code == 204
    refused(api("GET", path), 404, "variable not found")
