"""Keys and apps as their owners make and remove them."""

from __future__ import annotations

import pytest

from tests.support.api import TOKEN, refused

KEYS, APPS = "/spaces/demo/keys", "/spaces/demo/apps"


def test_a_key_is_shown_once_and_works_until_it_is_removed(api):
    made = api("POST", KEYS, {"name": "ci", "scopes": ["log.read", "function"], "functions": ["a", "b", "a"]})
    assert made.status_code == 201
    one = made.json()
    assert (one["scopes"], one["functions"], one["expires_at"]) == (
        ["function", "log.read"],
        ["a", "b"],
        None,
    )
    assert api("GET", "/whoami", headers={"Authorization": f"Bearer {one['key']}"}).status_code == 200
    listed = api("GET", KEYS)
    assert [entry["id"] for entry in listed.json()["data"]] == [one["id"]]
    assert one["key"] not in listed.text and "digest" not in listed.text
    assert api("DELETE", f"{KEYS}/{one['id']}").status_code == 204
    assert ("credentials", "demo") in api.control.told
    refused(api("GET", "/whoami", headers={"Authorization": f"Bearer {one['key']}"}), 401)
    refused(api("DELETE", f"{KEYS}/{one['id']}"), 404, "key not found")


def test_an_apps_secret_is_shown_once_and_rotated(api):
    made = api("POST", APPS, {"name": "ci", "scopes": ["function.invoke"]})
    one = made.json()
    assert made.status_code == 201 and one["client_secret"].startswith("cb_app_")
    assert one["client_secret"] not in api("GET", APPS).text
    rotated = api("POST", f"{APPS}/{one['client_id']}/rotate", {"overlap_seconds": 60}).json()
    assert rotated["client_secret"] != one["client_secret"] and rotated["previous_until"].endswith("Z")
    assert api("POST", f"{APPS}/{one['client_id']}/rotate").status_code == 200, "without a body"
    assert api("DELETE", f"{APPS}/{one['client_id']}").status_code == 204
    refused(api("POST", f"{APPS}/{one['client_id']}/rotate"), 404, "app not found")


BAD = {
    "no name": ({"name": None}, "name"),
    "a strange name": ({"name": "A b"}, "name"),
    "no scopes": ({"scopes": []}, "scopes"),
    "an unknown scope": ({"scopes": ["function.invoke", "root"]}, "scopes"),
    "a scope that is no text": ({"scopes": [1]}, "scopes"),
    "scopes as text": ({"scopes": "function"}, "scopes"),
    "a scope that is none": ({"scopes": ["administrator"]}, "scopes"),
    "no function at all": ({"functions": []}, "functions"),
    "a strange function": ({"functions": ["../x"]}, "functions"),
    "many functions": ({"functions": [f"f{n}" for n in range(101)]}, "functions"),
    "another field": ({"client_id": "mine"}, "client_id"),
    "a time that is over": ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    "a time without a zone": ({"expires_at": "2040-01-01T00:00:00"}, "expires_at"),
    "a number": ({"expires_at": 2_000_000_000}, "expires_at"),
    "no such day": ({"expires_at": "2040-02-31T00:00:00Z"}, "expires_at"),
}


@pytest.mark.parametrize(("fields", "names"), BAD.values(), ids=BAD.keys())
def test_a_bad_field_of_a_key_is_a_422_that_names_it(door, fields, names):
    wanted = {"name": "ci", "scopes": ["function"], **fields}
    body = {name: value for name, value in wanted.items() if value is not None}
    refused(door("POST", KEYS, body), 422, names)


def test_a_name_is_taken_once(api):
    for address in (KEYS, APPS):
        body = {"name": "ci", "scopes": ["function"]}
        assert api("POST", address, body).status_code == 201
        refused(api("POST", address, body), 409, "choose another")


def test_there_are_no_credentials_of_a_space_that_is_not_there(door):
    for address in ("/spaces/nowhere/keys", "/spaces/nowhere/apps"):
        refused(door("POST", address, {"name": "ci", "scopes": ["function"]}), 404, "there is no space")
        refused(door("GET", address), 404, "there is no space")


def test_keys_are_listed_in_pages(api):
    made = [api("POST", KEYS, {"name": f"k{n}", "scopes": ["function"]}).json()["id"] for n in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        page = api("GET", KEYS, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [entry["id"] for entry in page["data"]]
        cursor = page["paging"]["next_cursor"]
    assert (sorted(made), cursor) == (seen, None)
    refused(api("GET", KEYS, params={"cursor": "after.x"}), 422, "cursor")


def test_a_holder_of_space_admin_makes_and_removes_keys_of_its_space(api):
    owner = api("POST", KEYS, {"name": "owner", "scopes": ["space.admin"]}).json()["key"]
    headers = {"Authorization": f"Bearer {owner}"}
    made = api("POST", KEYS, {"name": "ci", "scopes": ["log.read"]}, headers=headers)
    assert made.status_code == 201
    assert api("DELETE", f"{KEYS}/{made.json()['id']}", headers=headers).status_code == 204
    assert TOKEN not in made.text
