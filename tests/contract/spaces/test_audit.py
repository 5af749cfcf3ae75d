"""The audit over REST: every changing route leaves a line, none has a value, and nothing changes one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from supervisor.tenancy.route_scopes import ROUTE_SCOPES
from tests.support.api import FUNCTIONS, HELLO, Front, body, deploy, front, refused

VALUE = "qz-value-of-a-tenant"
Change = Callable[[Front], httpx.Response]
VALUES = {"description": VALUE, "env": {"KEY": VALUE}}
# What each changing route is asked for, in an order in which all succeed, and the line that it leaves.
APPS = "/spaces/demo/apps"
GRANTED = {"name": "ci", "scopes": ["function.invoke"]}


def first(api: Front, kind: str, field: str) -> str:
    """Which app or key of the space is the first."""
    return str(api("GET", f"/spaces/demo/{kind}").json()["data"][0][field])


CHANGES: dict[str, tuple[str, Change]] = {
    "create_space": ("space.create", lambda api: api("POST", "/spaces", {"name": "acme", "title": VALUE})),
    "change_space": ("space.suspend", lambda api: api("PUT", "/spaces/acme", {"suspended": True})),
    "delete_space": ("space.delete", lambda api: api("DELETE", "/spaces/acme?confirm=acme")),
    "create_function": ("function.create", lambda api: api("POST", FUNCTIONS, body(**VALUES))),
    "change_function": ("function.update", lambda api: api("PUT", HELLO, {"env": {"A": VALUE}})),
    "patch_function": ("function.update", lambda api: api("PATCH", HELLO, {"env": {"B": VALUE}})),
    "roll_back": ("function.activate", lambda api: api("POST", f"{HELLO}/rollback", {})),
    "put_label": ("label.update", lambda api: api("PUT", f"{HELLO}/versions/1/label", {"label": "v1"})),
    "delete_label": ("label.delete", lambda api: api("DELETE", f"{HELLO}/versions/1/label")),
    "put_alias": ("alias.update", lambda api: api("PUT", f"{HELLO}/aliases/prod", {"version": 1})),
    "delete_alias": ("alias.delete", lambda api: api("DELETE", f"{HELLO}/aliases/prod")),
    "delete_function": ("function.delete", lambda api: api("DELETE", HELLO)),
    "put_secret": ("secret.update", lambda api: api("PUT", "/spaces/demo/secrets/K", {"value": VALUE})),
    "delete_secret": ("secret.delete", lambda api: api("DELETE", "/spaces/demo/secrets/K")),
    "put_variable": ("variable.update", lambda api: api("PUT", "/spaces/demo/variables/K", {"value": VALUE})),
    "delete_variable": ("variable.delete", lambda api: api("DELETE", "/spaces/demo/variables/K")),
    "put_quotas": ("quotas.update", lambda api: api("PUT", "/spaces/demo/quotas", {"functions": 50})),
    "create_key": ("key.create", lambda api: api("POST", "/spaces/demo/keys", GRANTED)),
    "delete_key": ("key.delete", lambda api: api("DELETE", f"/spaces/demo/keys/{first(api, 'keys', 'id')}")),
    "create_app": ("app.create", lambda api: api("POST", "/spaces/demo/apps", GRANTED)),
    "rotate_app": ("app.rotate", lambda api: api("POST", f"{APPS}/{first(api, 'apps', 'client_id')}/rotate")),
    "delete_app": ("app.delete", lambda api: api("DELETE", f"{APPS}/{first(api, 'apps', 'client_id')}")),
    "renew_zygotes": ("zygotes.renew", lambda api: api("POST", "/zygotes/renew")),
}


# A rotation of the key leaves two lines, a token that is taken back one of its app's own; issuing a token
# changes nothing that anybody else has.  Their own tests look at them.
LOOKED_AT_ELSEWHERE = {"rotate_sealing_key", "issue_token", "revoke_token"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Front]:
    with front(tmp_path) as one:
        yield one


def lines(api: Front, path: str = "/audit", **query: object) -> list[dict[str, object]]:
    answer = api("GET", path, params={"limit": 1000, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["data"]
    return found


def operations(api: Front) -> dict[str, tuple[str, str]]:
    """Method and path of each route, by its name."""
    paths = api("GET", "/openapi.json").json()["paths"]
    return {
        operation["operationId"]: (method, path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method != "parameters"
    }


@pytest.mark.promise("S211")
def test_every_changing_route_leaves_one_line_and_no_line_has_a_value(api: Front) -> None:
    changing = {name for name in ROUTE_SCOPES if operations(api)[name][0] != "get"}
    known = set(CHANGES) | LOOKED_AT_ELSEWHERE
    assert known == changing, "say what a new route is asked for, and which line it leaves"
    for name, (action, change) in CHANGES.items():
        before = lines(api)
        answer = change(api)
        assert answer.is_success, (name, answer.text)
        after = lines(api)
        assert after[1:] == before, name
        assert (after[0]["action"], after[0]["actor"]) == (action, "admin"), name
        assert after[0]["address"] == "127.0.0.1", name
    assert VALUE not in json.dumps(lines(api))


def test_a_space_has_its_own_lines_and_those_that_are_selected(api: Front) -> None:
    deploy(api)
    api("PUT", "/spaces/demo/secrets/K", json={"value": "x"})
    api("PUT", "/spaces/default/secrets/K", json={"value": "x"})
    of_demo = lines(api, "/spaces/demo/audit")
    assert [line["action"] for line in of_demo] == ["secret.update", "function.create"]
    assert [line["action"] for line in lines(api, "/spaces/demo/audit", action="function")] == [
        "function.create"
    ]
    assert len(lines(api, since="1h")) == 3
    assert lines(api, since="2999-01-01T00:00:00Z") == []
    assert of_demo[0]["target"] == "K"
    assert of_demo[1]["details"] == {"version": 1}
    refused(api("GET", "/spaces/dmeo/audit"), 404, "did you mean 'demo'?")


def test_lines_come_in_pages_from_the_newest(api: Front) -> None:
    for number in range(5):
        api("PUT", f"/spaces/demo/variables/V{number}", json={"value": number})
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api("GET", "/spaces/demo/audit", params=query).json()
        found += [line["target"] for line in page["data"]]
        cursor = page["paging"]["next_cursor"]
        if cursor is None:
            break
    assert found == ["V4", "V3", "V2", "V1", "V0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("since=yesterday", "since"), ("action=x;y", "action"), ("cursor=before.x", "cursor")],
)
def test_what_cannot_be_selected_is_a_422_that_names_it(api: Front, query: str, field: str) -> None:
    error = refused(api("GET", f"/audit?{query}"), 422, field)
    assert error["details"]["field"] == field


@pytest.mark.promise("T98")
def test_no_route_changes_or_removes_a_line(api: Front) -> None:
    of_audit = {method for method, path in operations(api).values() if "audit" in path}
    assert of_audit == {"get"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/audit", "/spaces/demo/audit"):
            refused(api(method, path), 405)
