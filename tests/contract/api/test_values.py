"""Secrets and variables."""

from __future__ import annotations

import pytest

from tests.support.api import refused


def test_a_secret_is_set_replaced_listed_and_deleted_but_never_shown(api):
    path = "/spaces/demo/secrets/TOKEN"
    first, second = (api("PUT", path, {"value": value}) for value in ("hunter2", "hunter3"))
    assert (first.status_code, second.status_code) == (201, 204)
    listed, shown = api("GET", "/spaces/demo/secrets"), api("GET", path)
    assert [set(one) for one in listed.json()["data"]] == [{"name", "updated_at", "functions"}]
    assert set(shown.json()) == {"name", "updated_at", "functions"}
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


@pytest.mark.promise("S235")
@pytest.mark.parametrize("kind", ["secrets", "variables"])
def test_a_value_is_for_every_function_or_for_those_of_its_list(api, kind):
    path = f"/spaces/demo/{kind}/KEY"

    def put(**fields):
        assert api("PUT", path, {"value": "v", **fields}).status_code in (201, 204)
        listed = api("GET", f"/spaces/demo/{kind}").json()["data"][0]
        assert listed["functions"] == api("GET", path).json()["functions"]
        return listed["functions"]

    assert put() is None
    assert put(functions=["pay", "refund", "pay"]) == ["pay", "refund"]
    assert put() == ["pay", "refund"], "a new value alone must not widen who gets it"
    assert put(functions=[]) == []
    assert put() == []
    assert put(functions=None) is None


@pytest.mark.parametrize("functions", ["pay", ["Pay!"], [1], ["a"] * 101, {}])
def test_a_list_of_functions_that_is_none_is_refused(api, functions):
    answer = api("PUT", "/spaces/demo/secrets/KEY", {"value": "v", "functions": functions})
    refused(answer, 422, "functions")
    refused(api("GET", "/spaces/demo/secrets/KEY"), 404)


def test_the_sealing_key_is_replaced_and_every_value_stays_what_it_was(api):
    for number in range(120):
        api("PUT", f"/spaces/demo/secrets/S{number}", {"value": f"secret {number}"})
    api.control.told.clear()
    before = api.settings.front_dir.joinpath("sealing.key").read_bytes()
    answer = api("POST", "/sealing-key/rotate")
    assert (answer.status_code, answer.json()["left"], len(answer.json()["keys"])) == (200, 0, 1)
    after = api.settings.front_dir.joinpath("sealing.key").read_bytes()
    assert len(after) == 32 and after != before
    assert before.hex() not in answer.text and after.hex() not in answer.text
    assert api.control.told == [("sealing", "-")] * 3, "the fronts know each ring before it is needed"
    assert api.lookups.values("demo").secrets == {f"S{n}": f"secret {n}" for n in range(120)}
