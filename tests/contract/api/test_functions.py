"""Functions: create, show, list, change, delete; their code and versions."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.api import FUNCTIONS, HELLO, b64, body, deploy, front, refused
from tests.support.packing import CODE, zipped

OTHER_CODE = CODE + b"# two\n"
FUNCTION_FIELDS = {
    "id", "space", "name", "description", "template", "env", "options", "limits", "digest", "version",
    "label", "status", "status_reason", "warnings", "metrics", "created_at", "updated_at",
}  # fmt: skip


def test_creating_a_function_answers_with_its_whole_description(api):
    made = deploy(api, description="says hello", env={"A": "1"}, options={"timeout": 2})
    assert set(made) == FUNCTION_FIELDS
    assert (made["space"], made["name"], made["version"], made["status"]) == ("demo", "hello", 1, "Running")
    assert (made["template"], made["env"], made["description"]) == ("python3-http", {"A": "1"}, "says hello")
    assert made["options"] == {"timeout": 2.0}
    assert (made["limits"]["timeout"], made["limits"]["memory"]) == (2.0, 128)
    assert made["metrics"] == {"replicas": 0, "available_replicas": 0}
    assert re.fullmatch(r"[0-9A-Z]{26}", made["id"])
    assert re.fullmatch(r"[0-9a-f]{64}", made["digest"])
    for field in ("created_at", "updated_at"):
        moment = datetime.fromisoformat(made[field])
        assert len(made[field]) == len("2020-11-06T11:04:51Z")
        assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)
    assert api("GET", HELLO).json() == made


def test_a_deploy_is_checked_in_its_runtime_and_announced_before_it_is_answered(api):
    made = deploy(api, template="python3.9")
    assert api.control.checked == [("python3.9", made["digest"])]
    assert api.control.told == [("function", "demo", "hello")]


def test_the_instances_just_now_are_shown(api, hello):
    api.control.running["demo", "hello"] = (3, 2)
    assert api("GET", HELLO).json()["metrics"] == {"replicas": 3, "available_replicas": 2}


def test_a_function_whose_last_start_failed_has_failed_with_the_reason_and_another_version_has_not(
    api, hello
):
    api.control.running["demo", "hello"] = (0, 0, 1, "KeyError at line 3: 'x'")
    shown = api("GET", HELLO).json()
    assert (shown["status"], shown["status_reason"]) == ("Failed", "KeyError at line 3: 'x'")
    (listed,) = api("GET", "/spaces/demo/functions").json()["data"]
    assert listed == shown
    api.control.running["demo", "hello"] = (1, 1, 2, "of another version", 1)
    shown = api("GET", HELLO).json()
    assert (shown["status"], shown["status_reason"]) == ("Running", None)


@pytest.mark.promise("S185")
def test_the_status_says_what_is_true_with_the_reason(api, hello, tmp_path):
    def status(**function: Any) -> tuple[str, str]:
        shown = api("PATCH", HELLO, function).json()
        return shown["status"], shown["status_reason"] or ""

    assert status() == ("Running", "")  # it takes calls, and the first one starts an instance
    api.control.running["demo", "hello"] = (2, 0)
    assert status() == ("Building", "its first 2 instances start")
    api.control.running["demo", "hello"] = (0, 0)
    kept, why = status(options={"min_instances": 1})
    assert kept == "Pending" and "none of the 1 instances" in why
    api.control.running["demo", "hello"] = (1, 1, 0, "", 2)
    assert status() == ("Running", "")
    api.control._runtimes = ("python3.13",)
    api("PATCH", HELLO, {"template": "python3.13"})
    api.control._runtimes = ("python3.11",)
    failed = api("GET", HELLO).json()
    assert failed["status"] == "Failed" and "no runtime python3.13" in failed["status_reason"]


def test_a_name_that_is_taken_is_refused_and_nothing_changes(api, hello):
    refused(api("POST", FUNCTIONS, body(code=OTHER_CODE)), 409, "already exists", "PUT")
    assert api("GET", HELLO).json() == hello


def test_a_change_makes_a_version_and_what_is_absent_stays(api):
    first = deploy(api, env={"A": "1"}, description="one", options={"timeout": 2})
    second = api("PUT", HELLO, {"env": {"B": "2"}}).json()
    assert (second["version"], second["env"]) == (2, {"B": "2"})
    for field in ("id", "digest", "template", "description", "options", "created_at"):
        assert second[field] == first[field]
    third = api("PUT", HELLO, {"name": "hello", "source": {"code": b64(OTHER_CODE)}, "options": None}).json()
    assert (third["version"], third["env"], third["options"]) == (3, {"B": "2"}, {"timeout": 2.0})
    assert third["digest"] != second["digest"]
    assert api("PUT", HELLO, {"options": {}}).json()["options"] == {}


@pytest.mark.promise("S37")
def test_the_same_content_again_makes_no_version_but_is_announced_again(api, hello):
    """A caller whose PUT was stored but not announced sends it again."""
    again = api("PUT", HELLO, body())
    assert again.status_code == 200
    assert again.json() == {**hello, "unchanged": True}
    assert api.control.told == [("function", "demo", "hello")] * 2


def test_a_change_that_touches_neither_code_nor_runtime_is_not_checked_again(api, hello):
    api("PUT", HELLO, {"description": "new"})
    assert len(api.control.checked) == 1
    api("PUT", HELLO, {"template": "python3.9"})
    assert api.control.checked[1:] == [("python3.9", hello["digest"])]


def test_a_function_cannot_be_renamed(api, hello):
    refused(api("PUT", HELLO, {"name": "other"}), 422, "name")


def test_a_deleted_function_is_gone_and_its_name_is_free(api, hello):
    response = api("DELETE", HELLO)
    assert (response.status_code, response.content) == (204, b"")
    assert api.control.told[-1] == ("function", "demo", "hello")
    for method, path in (
        ("GET", HELLO), ("PUT", HELLO), ("DELETE", HELLO), ("GET", f"{HELLO}/code"),
        ("GET", f"{HELLO}/versions"), ("POST", f"{HELLO}/rollback"),
    ):  # fmt: skip
        refused(api(method, path, {} if method in ("PUT", "POST") else None), 404, "function not found")
    assert deploy(api)["id"] != hello["id"]


def test_functions_are_listed_by_name_in_pages_both_ways(api):
    for name in ("c", "a", "e", "b", "d"):
        deploy(api, name)
    deploy_elsewhere = api("POST", "/spaces/other/functions", body("x"))
    assert deploy_elsewhere.status_code == 201

    def page(cursor: str | None) -> tuple[str, Any]:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        document = api("GET", FUNCTIONS, params=query).json()
        assert set(document) == {"data", "paging"}
        assert set(document["paging"]) == {"next_cursor", "previous_cursor"}
        return "".join(one["name"] for one in document["data"]), document["paging"]

    names, first = page(None)
    assert (names, first["previous_cursor"]) == ("ab", None)
    names, second = page(first["next_cursor"])
    assert names == "cd"
    names, third = page(second["next_cursor"])
    assert (names, third["next_cursor"]) == ("e", None)
    assert page(third["previous_cursor"])[0] == "cd"
    assert page(second["previous_cursor"])[0] == "ab"


def test_an_empty_space_has_an_empty_list(api):
    expected = {"data": [], "paging": {"next_cursor": None, "previous_cursor": None}}
    for kind in ("functions", "secrets", "variables"):
        assert api("GET", f"/spaces/default/{kind}").json() == expected


@pytest.mark.promise("S186")
def test_a_space_that_there_is_not_is_a_404_with_the_near_names(api, hello):
    for path in ("functions", "functions/hello", "secrets", "variables", "logs"):
        refused(api("GET", f"/spaces/dmeo/{path}"), 404, "no space 'dmeo'; did you mean 'demo'?")
    refused(api("POST", "/spaces/dmeo/functions?create_space=false", body("x")), 404, "did you mean 'demo'?")
    assert api("POST", "/spaces/dmeo/functions?create_space=true", body("x")).status_code == 201
    assert api("POST", "/spaces/dmeo/functions?create_space=false", body("y")).status_code == 201
    for name in ("x", "y"):
        api("DELETE", f"/spaces/dmeo/functions/{name}")
    refused(api("GET", "/spaces/dmeo/functions"), 404, "no space")


def test_a_mistyped_name_is_refused_with_those_that_may_be_meant(api, hello):
    deploy(api, "greet")
    refused(api("GET", "/spaces/demo/functions/helo"), 404, "did you mean 'hello'?")
    refused(api("DELETE", "/spaces/demo/functions/xyz"), 404, "there are: greet, hello")
    api("PUT", "/spaces/demo/variables/REGION", {"value": 1})
    refused(api("DELETE", "/spaces/demo/variables/REGOIN"), 404, "did you mean 'REGION'?")
    wrong = refused(api("PATCH", HELLO, {"options": {"timout": 1}}), 422, "did you mean 'timeout'?")
    assert wrong["details"]["field"] == "options.timout"
    refused(
        api("PATCH", HELLO, {"option": {}}), 422, "option: there is no such field; did you mean 'options'"
    )
    refused(
        api("PATCH", HELLO, {"options": {"memory": "256MB"}}), 422, "a whole number without a unit", "MiB"
    )


@pytest.mark.promise("S187")
def test_a_patch_merges_options_and_env_and_null_takes_one_away(api):
    deploy(api, env={"A": "1", "B": "2"}, options={"timeout": 2, "public": True})
    merged = api("PATCH", HELLO, {"options": {"memory": 256}, "env": {"B": None, "C": "3"}}).json()
    assert merged["options"] == {"timeout": 2.0, "public": True, "memory": 256}
    assert (merged["env"], merged["version"]) == ({"A": "1", "C": "3"}, 2)
    headers = {"Content-Type": "application/merge-patch+json"}
    unset = api("PATCH", HELLO, content=b'{"options": {"public": null}}', headers=headers).json()
    assert unset["options"] == {"timeout": 2.0, "memory": 256}
    assert api("PATCH", HELLO, {}).json() == {**unset, "unchanged": True}
    bare = api("PATCH", HELLO, {"options": None, "env": None}).json()
    assert (bare["options"], bare["env"]) == ({}, {})
    refused(api("PATCH", HELLO, {"env": {"LD_PRELOAD": "x"}}), 422, "LD_PRELOAD")
    refused(api("PATCH", HELLO, {"options": {"min_instances": 11}}), 422, "min_instances")
    refused(api("PUT", HELLO, content=b"{}", headers=headers), 415)


def test_the_code_of_one_file_comes_back_as_that_file(api, hello):
    assert base64.b64decode(api("GET", f"{HELLO}/code").json()["code"]) == CODE


def test_the_code_of_a_tree_comes_back_as_a_zip_that_deploys_to_the_same(api):
    made = deploy(api, code=zipped(("handler.py", CODE), ("pkg/a.py", b"A = 1")))
    code = api("GET", f"{HELLO}/code").json()["code"]
    again = api("PUT", HELLO, {"source": {"code": code}}).json()
    assert (again["digest"], again["version"]) == (made["digest"], 1)


def test_base64_with_line_breaks_is_accepted(api):
    made = api(
        "POST", FUNCTIONS, {"name": "hello", "source": {"code": base64.encodebytes(CODE * 9).decode()}}
    )
    assert made.status_code == 201


@pytest.mark.parametrize(
    ("code", "says", "line"),
    [
        (b"def handle(req:\n    pass\n", "SyntaxError", 1),
        (b"x = 1\n\ndef handle(req)\n", "SyntaxError", 3),
        (b"def other(req):\n    pass\n", "handle", None),
        (b"", "", None),
    ],
)
def test_a_bundle_that_cannot_work_is_refused_at_once_with_the_line(api, code, says, line):
    error = refused(api("POST", FUNCTIONS, body(code=code)), 422, says)
    assert error["details"].get("line") == line
    refused(api("GET", HELLO), 404)


def test_a_bad_change_leaves_the_function_as_it_was(api, hello):
    refused(api("PUT", HELLO, {"source": {"code": b64(b"def handle(:")}, "env": {"A": "1"}}), 422)
    assert api("GET", HELLO).json() == hello


def test_an_unknown_runtime_is_refused_with_those_there_are(api):
    error = refused(api("POST", FUNCTIONS, body(template="python2.7")), 422, "python3-http", "python3.9")
    assert error["details"]["known"] == ["python3-http", "python3.11", "python3.9"]


@pytest.mark.promise("S40")
def test_an_option_above_the_ceiling_is_refused(api):
    refused(api("POST", FUNCTIONS, body(options={"timeout": 90_000})), 422, "options.timeout")
    refused(api("POST", FUNCTIONS, body(options={"memory": 4096})), 422, "options.memory", "2048")
    refused(api("POST", FUNCTIONS, body(options={"network": "host"})), 422, "options.network")


def test_a_ceiling_that_was_lowered_since_cuts_and_refuses_nothing(api, tmp_path):
    deploy(api, options={"memory": 1024, "max_instances": 50, "min_instances": 20})
    with front(tmp_path, ceilings={"memory": 512, "max_instances": 5}) as later:
        shown = later("GET", HELLO).json()
        assert shown["options"]["memory"] == 1024
        assert [shown["limits"][name] for name in ("memory", "max_instances", "min_instances")] == [512, 5, 5]
        assert later("GET", FUNCTIONS).status_code == 200
        refused(later("PUT", HELLO, {"description": "x"}), 422, "options.m")


def test_a_store_that_fails_to_be_announced_is_told_and_can_be_repeated(api, hello):
    api.control.fails = True
    response = api("PUT", HELLO, {"env": {"A": "1"}})
    refused(response, 503)
    assert response.headers["retry-after"] == "1"
    api.control.fails = False
    assert api("PUT", HELLO, {"env": {"A": "1"}}).json()["version"] == 2
    assert api.control.told[-1] == ("function", "demo", "hello")


def test_versions_are_listed_the_newest_first_and_rolled_back_to(api, hello):
    for number in (2, 3):
        api("PUT", HELLO, {"env": {"N": str(number)}})
    assert api("POST", f"{HELLO}/rollback").json()["version"] == 2
    assert api("POST", f"{HELLO}/rollback", {}).json()["version"] == 1
    rolled = api("POST", f"{HELLO}/rollback", {"version": 3}).json()
    assert (rolled["version"], rolled["env"]) == (3, {"N": "3"})
    assert len(api.control.told) == 6
    data = api("GET", f"{HELLO}/versions").json()["data"]
    assert [(one["version"], one["active"]) for one in data] == [(3, True), (2, False), (1, False)]
    assert set(data[0]) == {
        "version", "label", "digest", "template", "description", "env", "options", "created_at", "active",
        "aliases",
    }  # fmt: skip
    assert api("PUT", HELLO, {"env": {"N": "4"}}).json()["version"] == 4


def test_versions_come_in_pages(api, hello):
    for number in (2, 3):
        api("PUT", HELLO, {"env": {"N": str(number)}})
    first = api("GET", f"{HELLO}/versions", params={"limit": 2}).json()
    cursor = first["paging"]["next_cursor"]
    second = api("GET", f"{HELLO}/versions", params={"limit": 2, "cursor": cursor}).json()
    assert [one["version"] for one in first["data"] + second["data"]] == [3, 2, 1]
    assert second["paging"]["next_cursor"] is None


def test_rolling_back_to_nothing_is_refused(api, hello):
    refused(api("POST", f"{HELLO}/rollback"), 409, "oldest")
    refused(api("POST", f"{HELLO}/rollback", {"version": 9}), 404, "version 9")
    refused(api("POST", f"{HELLO}/rollback", {"version": 0}), 422, "version")
    refused(api("POST", f"{HELLO}/rollback", {"version": 1 << 70}), 422, "version")


def test_a_version_whose_runtime_is_gone_is_not_rolled_back_to(api, tmp_path):
    deploy(api, template="python3.9")
    api("PUT", HELLO, {"template": "python3.11"})
    api.control._runtimes = ("python3.11",)
    refused(api("POST", f"{HELLO}/rollback"), 422, "python3.9")
    assert api("GET", HELLO).json()["version"] == 2
