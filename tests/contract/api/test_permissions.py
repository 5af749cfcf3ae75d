"""Who may do what: every route with every kind of caller, from the one table of scopes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from supervisor.front.api import gate
from supervisor.store.credentials.credential_records import Grant
from supervisor.tenancy.route_scopes import ADMINISTRATOR, ANY, CLIENT, INVOKE, ROUTE_SCOPES
from supervisor.tenancy.scopes import NARROWED, SCOPES, expanded
from tests.support.api import FUNCTIONS, HELLO, TOKEN, Front, body, refused

ID = "0" * 26
VALUES = {"space": "demo", "name": "hello", "client_id": ID, "id": ID, "version": 1, "alias": "prod"}
ALL = tuple(SCOPES)
NAMES = itertools.count()


def routes(app: Any) -> dict[str, APIRoute]:
    """Each route of the API by its name."""
    found = [route for route in app.state.routes if isinstance(route, APIRoute)]
    assert len({route.name for route in found}) == len(found)
    return {route.name: route for route in found}


def key(api: Front, scopes: tuple[str, ...] = ALL, space: str = "demo", **more: Any) -> str:
    """What the holder of a new key sends."""
    grant = Grant(scopes, tuple(more.pop("functions", ())))
    return api.store.credentials.create_key(space, f"k{next(NAMES)}", grant, more.pop("expires_at", None))[1]


def asked(api: Front, route: APIRoute, credential: str | None, **values: str) -> httpx.Response:
    """A request for a route, with a body that says nothing."""
    method = sorted(route.methods - {"HEAD"})[0]
    path = route.path.format(**{**VALUES, **values})
    header = "none" if credential is None else f"Bearer {credential}"
    content = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
    return api(method, path, headers={"Authorization": header}, **content)


def passed(response: httpx.Response) -> bool:
    """Whether the route itself has answered."""
    return response.status_code not in (401, 403) and "there is no space" not in response.text


def test_each_route_has_a_row_and_each_row_a_route(door):
    assert set(routes(door.app)) == set(ROUTE_SCOPES)


TOKEN_ROUTES = sorted(name for name, scope in ROUTE_SCOPES.items() if scope != CLIENT)


@pytest.mark.parametrize("name", TOKEN_ROUTES)
@pytest.mark.promise("S193")
def test_a_route_opens_for_its_scope_and_for_nothing_else(door, name):
    route, needed = routes(door.app)[name], ROUTE_SCOPES[name]
    others = tuple(scope for scope in SCOPES if scope != needed)
    has_space = "{space}" in route.path
    refused(asked(door, route, None), 401)
    assert passed(asked(door, route, TOKEN)), "the administrator"
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)
    refused(asked(door, route, key(door, expires_at=past)), 401)
    refused(asked(door, route, key(door)[:-1] + "_"), 401)
    if needed == ADMINISTRATOR:
        error = refused(asked(door, route, key(door)), 403, "administrator")
        assert error["details"] == {"scope": ADMINISTRATOR}
        return
    if needed == ANY:
        assert passed(asked(door, route, key(door, ("log.read",))))
        return
    assert has_space, "a scope is of a space"
    refused(asked(door, route, key(door, space="default")), 404, "there is no space 'demo'")
    error = refused(asked(door, route, key(door, others)), 403, needed)
    assert error["details"] == {"scope": needed}
    assert passed(asked(door, route, key(door, (needed,))))
    if needed.startswith("function."):
        assert passed(asked(door, route, key(door, ("function",)))), "which stands for all of them"


@pytest.mark.parametrize("name", TOKEN_ROUTES)
@pytest.mark.promise("S200")
def test_a_credential_that_is_bound_to_functions_reads_the_logs_of_those_alone(door, name):
    route, needed = routes(door.app)[name], ROUTE_SCOPES[name]
    if needed in (ADMINISTRATOR, ANY):
        return
    bound, others = key(door, (needed,), functions=["hello"]), key(door, (needed,), functions=["other"])
    is_of_one = "/functions/{name}" in route.path
    assert passed(asked(door, route, bound)) is (needed not in NARROWED or is_of_one)
    assert passed(asked(door, route, others)) is (needed not in NARROWED)


@pytest.mark.parametrize("name", TOKEN_ROUTES)
def test_a_revoked_key_and_a_deleted_apps_token_open_nothing_any_more(api, name):
    route = routes(api.app)[name]
    made = api("POST", "/spaces/demo/keys", {"name": "k", "scopes": list(ALL)}).json()
    app, _ = api.store.credentials.create_app("demo", "a", Grant(ALL))
    token = api.store.credentials.issue_token(app, ALL)
    for credential, address in (
        (made["key"], f"/spaces/demo/keys/{made['id']}"),
        (token, f"/spaces/demo/apps/{app.client_id}"),
    ):
        before = asked(api, route, credential)
        assert passed(before) or ROUTE_SCOPES[name] == ADMINISTRATOR
        assert api("DELETE", address).status_code == 204
        refused(asked(api, route, credential), 401)
        refused(asked(api, route, credential), 401)


@pytest.mark.parametrize("name", [one for one in TOKEN_ROUTES if ROUTE_SCOPES[one] in SCOPES])
@pytest.mark.promise("T92")
def test_what_is_in_another_space_and_what_is_nowhere_get_the_same_answer(door, name):
    """Before anything is looked up: the store that would be asked is gone."""
    route = routes(door.app)[name]
    holder = key(door, space="default")
    door("GET", "/whoami", headers={"Authorization": f"Bearer {holder}"})
    answers = set()
    for space in ("demo", "nowhere", "DEMO", "Default", "default%20", "default%00", "%2e%2e", "d%C3%A9mo",
                  "%EF%BC%A4efault", "default%E2%80%8B"):  # fmt: skip
        response = asked(door, route, holder, space=space)
        refused(response, 404, "space not found")
        said = response.json()["error"]["message"]
        answers.add((response.status_code, said.partition("'")[0], frozenset(response.headers) - {"x"}))
        assert "mean" not in said, "no name of another space is hinted at"
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", f"{FUNCTIONS}?cursor=after.other-spaces-function", None),
        ("GET", "/spaces/demo/keys?cursor=after.00000000000000000000000000", None),
        ("POST", FUNCTIONS, {"name": "x", "space": "default", "source": {"code": "eA=="}}),
        ("POST", "/spaces/demo/keys", {"name": "x", "scopes": ["function"], "space": "default"}),
        ("PUT", "/spaces/demo/secrets/X", {"value": "x", "space": "default"}),
        ("GET", "/spaces/demo/logs?space=default", None),
        ("GET", "/spaces/demo/activity?space=default&name=hello", None),
    ],
)
def test_an_identifier_of_another_space_anywhere_else_leads_nowhere(door, method, path, given):
    """The space in the path is the only one that counts; a body that names another is refused."""
    deploy_in_default(door)
    holder = key(door)
    headers = {"Authorization": f"Bearer {holder}", "X-Space": "default", "X-Forwarded-Host": "default"}
    response = door(method, path, given, headers=headers)
    assert response.status_code in (200, 422), response.text
    assert "foreign" not in response.text


def deploy_in_default(api: Front) -> None:
    """A function whose name no answer to another space has."""
    if api("GET", "/spaces/default/functions/foreign").status_code == 404:
        assert api("POST", "/spaces/default/functions", body("foreign")).status_code == 201


def test_a_key_of_one_space_does_not_reach_the_keys_and_apps_of_another(door):
    own = key(door)
    app, _ = door.store.credentials.create_app("default", f"a{next(NAMES)}", Grant(ALL))
    made, _ = door.store.credentials.create_key("default", f"k{next(NAMES)}", Grant(ALL), None)
    headers = {"Authorization": f"Bearer {own}"}
    for method, path in (
        ("DELETE", f"/spaces/demo/keys/{made.id}"),
        ("DELETE", f"/spaces/demo/apps/{app.client_id}"),
        ("POST", f"/spaces/demo/apps/{app.client_id}/rotate"),
    ):
        refused(door(method, path, headers=headers), 404, "not found")
    assert made.id not in door("GET", "/spaces/demo/keys", headers=headers).text
    assert app.client_id not in door("GET", "/spaces/demo/apps", headers=headers).text
    assert made.id in door("GET", "/spaces/default/keys").text, "the control"


@pytest.mark.parametrize(
    "place",
    [
        lambda one: {"params": {"access_token": one}},
        lambda one: {"params": {"token": one}},
        lambda one: {"headers": {"Authorization": one}},
        lambda one: {"headers": {"Authorization": f"Basic {one}"}},
        lambda one: {"headers": {"Authorization": f"Token {one}"}},
        lambda one: {"headers": {"Authorization": f"Bearer, {one}"}},
        lambda one: {"headers": {"Authorization": "none", "X-Api-Key": one}},
        lambda one: {"headers": {"Authorization": "none", "Cookie": f"token={one}"}},
        lambda one: {"headers": {"Authorization": "none", "Proxy-Authorization": f"Bearer {one}"}},
        lambda one: {"headers": [("Authorization", f"Bearer {one}"), ("Authorization", f"Bearer {one}")]},
    ],
)
def test_a_token_in_the_wrong_place_is_no_credential(door, place):
    one = key(door)
    assert door("GET", FUNCTIONS, headers={"Authorization": f"Bearer {one}"}).status_code == 200
    request = place(one)
    request.setdefault("headers", {"Authorization": "none"})
    refused(door("GET", FUNCTIONS, **request), 401)


@pytest.mark.parametrize("credential", ["secret", "id"])
def test_a_client_secret_and_a_client_id_are_no_bearer_tokens(door, credential):
    app, secret = door.store.credentials.create_app("demo", f"a{next(NAMES)}", Grant(ALL))
    sent = secret if credential == "secret" else app.client_id
    refused(door("GET", "/whoami", headers={"Authorization": f"Bearer {sent}"}), 401)


def test_a_caller_without_the_scope_is_refused_before_its_body_is_read(door, monkeypatch):
    """A declared size above every bound would be a 413 if anybody looked at it."""
    monkeypatch.setattr(gate, "BODY_MAX_BYTES", 10)
    holder = key(door, ("log.read",))
    for credential, status in ((holder, 403), (TOKEN, 413)):
        response = door(
            "PUT", "/spaces/demo/secrets/A", content=b"x" * 100,
            headers={"Authorization": f"Bearer {credential}", "Content-Type": "application/json"},
        )  # fmt: skip
        refused(response, status)


def test_a_caller_sees_who_it_is(door):
    until = datetime(2040, 1, 2, 3, 4, 5)
    one = key(door, ("function", "log.read"), functions=["hello"], expires_at=until)
    said = door("GET", "/whoami", headers={"Authorization": f"Bearer {one}"}).json()
    assert (said["space"], said["functions"], said["expires_at"]) == (
        "demo",
        ["hello"],
        "2040-01-02T03:04:05Z",
    )
    assert said["name"].startswith("key:") and not said["is_administrator"]
    assert set(said["scopes"]) == expanded(["function", "log.read"])
    admin = door("GET", "/whoami").json()
    assert (admin["name"], admin["space"], admin["is_administrator"]) == ("admin", None, True)


def test_changes_are_in_the_audit_under_the_credential_that_made_them(door):
    made, one = door.store.credentials.create_key("demo", f"k{next(NAMES)}", Grant(ALL), None)
    headers = {"Authorization": f"Bearer {one}"}
    assert door("PUT", "/spaces/demo/secrets/AUDITED", {"value": "hush"}, headers=headers).status_code == 201
    from sqlalchemy import select

    from supervisor.store.schema import audit

    rows = door.store._db.read(lambda connection: connection.execute(select(audit)).all())
    mine = [row for row in rows if row.actor == f"key:{made.id}"]
    assert [(row.action, row.target, row.space) for row in mine] == [("secret.update", "AUDITED", "demo")]
    assert "hush" not in repr(rows)


@pytest.mark.promise("S194")
def test_the_description_says_the_scope_of_each_operation(door):
    document = door("GET", "/openapi.json", headers={"Authorization": "none"}).json()
    said = {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    }
    for name, scope in ROUTE_SCOPES.items():
        assert said[name]["x-scope"] == scope
        assert "eeds" in said[name]["description"] or scope == ADMINISTRATOR
        if scope in SCOPES:
            assert {"oauth2": [scope]} in said[name]["security"] and scope in said[name]["description"]
    assert {one["x-scope"] for name, one in said.items() if name.startswith("invoke_")} == {INVOKE}
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert set(flow["scopes"]) == set(SCOPES)


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("PUT", "/spaces/demo/secrets/K", {"value": "x"}),
        ("DELETE", "/spaces/demo/secrets/K", None),
        ("PUT", "/spaces/demo/variables/K", {"value": 1}),
        ("PUT", HELLO, {"description": "x"}),
        ("PATCH", HELLO, {"description": "x"}),
        ("DELETE", HELLO, None),
        ("PUT", f"{HELLO}/versions/1/label", {"label": "v1"}),
        ("PUT", f"{HELLO}/aliases/prod", {"version": 1}),
        ("POST", "/spaces/demo/keys", {"name": "x", "scopes": ["function"]}),
        ("POST", "/spaces/demo/apps", {"name": "x", "scopes": ["function"]}),
    ],
)
def test_in_a_suspended_space_a_credential_changes_nothing_and_goes_on_reading(
    api, hello, method, path, given
):
    api("PUT", "/spaces/demo/secrets/K", {"value": "x"})
    headers = {"Authorization": f"Bearer {key(api)}"}
    assert api("PUT", "/spaces/demo", {"suspended": True}).status_code == 200
    error = refused(api(method, path, given, headers=headers), 403, "is suspended")
    assert error["details"] == {"reason": "suspended"}
    assert api("GET", HELLO, headers=headers).status_code == 200
    assert api("PUT", "/spaces/demo", {"suspended": False}).status_code == 200
    assert api(method, path, given, headers=headers).is_success, "the control"
