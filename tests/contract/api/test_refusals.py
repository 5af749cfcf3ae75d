"""Every refusal has one shape, asserted by ``refused`` in ``tests/support/api.py``."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.support.api import FUNCTIONS, HELLO, TOKEN, body, refused


@pytest.mark.promise("T28")
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic dDBrZW4=",
        f"bearer{TOKEN}",
        "Bearer " + "x" * 10_000,
    ],
)
@pytest.mark.parametrize(
    "target", [("GET", FUNCTIONS), ("POST", FUNCTIONS), ("GET", "/nowhere"), ("PATCH", HELLO)]
)
def test_without_a_credential_everything_is_a_401_that_says_what_to_send(door, header, target):
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(door.app), base_url="http://front"
        ) as client:
            headers = {} if header is None else {"Authorization": header}
            return await client.request(
                *target, headers=headers, content=b"x" if target[0] == "POST" else None
            )

    response = door._runner.run(send())
    refused(response, 401, "Unauthenticated", "Authorization: Bearer")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_two_credentials_are_nobodys(door):
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(door.app), base_url="http://front"
        ) as client:
            headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
            return await client.get(FUNCTIONS, headers=headers)

    refused(door._runner.run(send()), 401)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/spaces/",
        "/spaces/demo/nothing",
        f"{FUNCTIONS}/",
        f"{HELLO}/x",
        "/docs/x",
        "/docs/assets/../../secret",
        "/docs/assets/nothing.js",
        "/spaces/a/b/c/d/e",
    ],
)
def test_a_path_that_is_nothing_is_a_404(door, path):
    refused(door("GET", path), 404, "there is nothing at")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", FUNCTIONS, "GET, POST"),
        ("DELETE", FUNCTIONS, "GET, POST"),
        ("POST", HELLO, "DELETE, GET, PATCH, PUT"),
        ("OPTIONS", HELLO, "DELETE, GET, PATCH, PUT"),
        ("PUT", f"{HELLO}/code", "GET"),
        ("GET", f"{HELLO}/rollback", "POST"),
        ("POST", f"{HELLO}/versions", "GET"),
        ("POST", "/spaces/demo/secrets", "GET"),
        ("PATCH", "/spaces/demo/variables/x", "DELETE, GET, PUT"),
        ("POST", "/openapi.json", None),
        ("POST", "/docs", None),
        ("BREW", HELLO, "DELETE, GET, PATCH, PUT"),
    ],
)
def test_another_method_is_a_405_that_names_those_there_are(door, method, path, allow):
    response = door(method, path)
    refused(response, 405, "use ")
    assert allow is None or response.headers["allow"] == allow
    assert "GET" in response.headers["allow"] or allow == "POST"


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None, ""]
)
@pytest.mark.parametrize(
    "target",
    [
        ("POST", FUNCTIONS),
        ("PUT", HELLO),
        ("PUT", "/spaces/demo/secrets/A"),
        ("PUT", "/spaces/demo/variables/A"),
        ("POST", f"{HELLO}/rollback"),
    ],
)
def test_a_body_that_does_not_say_it_is_json_is_a_415(door, media_type, target):
    headers = {} if media_type is None else {"Content-Type": media_type}
    response = door(*target, content=json.dumps({"version": 1}).encode(), headers=headers)
    refused(response, 415, "Content-Type: application/json")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_recognised_however_it_is_spelled(door, media_type):
    response = door(
        "PUT", "/spaces/demo/secrets/A", content=b'{"value": "x"}', headers={"Content-Type": media_type}
    )
    assert response.status_code in (201, 204)


BAD_JSON = {
    "empty": b"",
    "cut": b'{"name": ',
    "no JSON": b"name=hello",
    "two": b"{} {}",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a long number": b'{"name": ' + b"9" * 5000 + b"}",
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
}


@pytest.mark.parametrize("content", BAD_JSON.values(), ids=BAD_JSON.keys())
@pytest.mark.parametrize("target", [("POST", FUNCTIONS), ("PUT", HELLO), ("PUT", "/spaces/demo/variables/A")])
def test_a_body_that_is_no_json_object_is_a_422(door, content, target):
    response = door(*target, content=content, headers={"Content-Type": "application/json"})
    refused(response, 422, "body")


BAD_FUNCTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, "name"),
    "upper case": ({"name": "Hello"}, "name"),
    "a hyphen first": ({"name": "-a"}, "name"),
    "a line break": ({"name": "a\n"}, "name"),
    "too long": ({"name": "a" * 64}, "name"),
    "half a surrogate": ({"name": "\ud800"}, "name"),
    "a number": ({"name": 1}, "name"),
    "an unknown field": ({"colour": "red"}, "colour"),
    "an unknown field of a strange name": ({"a\nb" * 100: 1}, "a\\nb"),
    "no source": ({"source": None}, "source"),
    "an empty source": ({"source": {"code": ""}}, "source.code"),
    "a source of something else": ({"source": {"url": "http://x"}}, "source.code"),
    "no base64": ({"source": {"code": "$$$"}}, "source.code"),
    "half base64": ({"source": {"code": "abc"}}, "source.code"),
    "base64 that is not ASCII": ({"source": {"code": "äöü="}}, "source.code"),
    "a template that is no text": ({"template": 3}, "template"),
    "an empty template": ({"template": ""}, "template"),
    "a long description": ({"description": "x" * 5000}, "description"),
    "NUL in the description": ({"description": "a\0b"}, "description"),
    "half a surrogate in the description": ({"description": "\udfff"}, "description"),
    "env that is no object": ({"env": []}, "env"),
    "env with a number": ({"env": {"A": 1}}, "env.A"),
    "env with a bad name": ({"env": {"1A": "x"}}, "'1A'"),
    "env with an empty name": ({"env": {"": "x"}}, "env"),
    "env with an equals sign": ({"env": {"A=B": "x"}}, "A=B"),
    "env for the linker": ({"env": {"LD_PRELOAD": "x"}}, "LD_PRELOAD"),
    "env for us": ({"env": {"CELLBLOCK_X": "x"}}, "CELLBLOCK_X"),
    "NUL in env": ({"env": {"A": "a\0"}}, "NUL"),
    "half a surrogate in env": ({"env": {"A": "\ud800"}}, "env"),
    "too many env": ({"env": {f"A{n}": "" for n in range(101)}}, "100"),
    "too much env": ({"env": {"A": "x" * 40_000}}, "32768"),
    "an unknown option": ({"options": {"speed": 1}}, "options.speed"),
    "an option below": ({"options": {"timeout": 0}}, "options.timeout"),
    "an option that is no number": ({"options": {"memory": "much"}}, "options.memory"),
    "an option that is infinite": ({"options": {"cpu": float("inf")}}, "options.cpu"),
    "an option that is NaN": ({"options": {"timeout": float("nan")}}, "options.timeout"),
    "options that disagree": ({"options": {"min_instances": 11}}, "min_instances"),
}


@pytest.mark.parametrize(("fields", "names"), BAD_FUNCTIONS.values(), ids=BAD_FUNCTIONS.keys())
def test_a_bad_field_is_a_422_that_names_it(door, fields, names):
    wanted = {key: value for key, value in {**body("other"), **fields}.items() if value is not None}
    # Not httpx's encoder: it refuses what a hostile caller would send.
    content = json.dumps(wanted).encode()
    response = door("POST", FUNCTIONS, content=content, headers={"Content-Type": "application/json"})
    refused(response, 422, names)
    assert [one["name"] for one in door("GET", FUNCTIONS).json()["data"]] == ["hello"]


BAD_VARIABLES = {
    "NaN": b'{"value": NaN}',
    "infinite": b'{"value": [1e999]}',
    "half a surrogate": b'{"value": {"a": "\\ud800"}}',
    "half a surrogate as a name": b'{"value": {"\\ud800": 1}}',
    "too deep": b'{"value": ' + b"[" * 40 + b"]" * 40 + b"}",
    "a large integer": b'{"value": 18446744073709551616}',
    "a small integer": b'{"value": -9223372036854775809}',
    "too large": b'{"value": "' + b"x" * (64 * 1024) + b'"}',
    "no value": b"{}",
}


@pytest.mark.parametrize("content", BAD_VARIABLES.values(), ids=BAD_VARIABLES.keys())
def test_a_variable_that_a_cell_could_not_be_given_is_a_422(door, content):
    response = door(
        "PUT", "/spaces/demo/variables/V", content=content, headers={"Content-Type": "application/json"}
    )
    refused(response, 422, "value")
    refused(door("GET", "/spaces/demo/variables/V"), 404)


@pytest.mark.parametrize("value", [None, 1, ["x"], "x" * (64 * 1024 + 1), "ü" * (32 * 1024 + 1), "\ud800"])
def test_a_secret_that_is_no_short_text_is_a_422_that_does_not_repeat_it(door, value):
    content = json.dumps({"value": value}).encode()
    response = door(
        "PUT", "/spaces/demo/secrets/S", content=content, headers={"Content-Type": "application/json"}
    )
    refused(response, 422, "value")
    assert "xxx" not in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/spaces/Demo/functions",
        "/spaces/a_b/functions",
        f"/spaces/{'a' * 64}/functions",
        "/spaces/%00/functions",
        "/spaces/a%0A/functions",
        "/spaces/%C3%BC/functions",
        f"{FUNCTIONS}/Hello",
        f"{FUNCTIONS}/a..b",
        f"{FUNCTIONS}/-a/code",
        "/spaces/demo/secrets/1A",
        "/spaces/demo/secrets/a%20b",
        f"/spaces/demo/variables/{'a' * 129}",
    ],
)
def test_a_bad_name_in_a_path_is_a_422_that_says_what_a_name_is(door, path):
    refused(door("GET", path), 422, "use l")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=99999999999999999999999",
        "cursor=x",
        "cursor=%FF",
        "cursor=" + "a" * 201,
        "cursor=" + base64.urlsafe_b64encode(b'["after", 1]').decode(),
        "cursor=" + base64.urlsafe_b64encode(b'["after", "a\\u0000"]').decode(),
        "cursor=" + base64.urlsafe_b64encode(b'["sideways", "a"]').decode(),
        "cursor=" + base64.urlsafe_b64encode(b"{}").decode(),
    ],
)
def test_bad_paging_is_a_422(door, query):
    refused(door("GET", f"{FUNCTIONS}?{query}"), 422, query.partition("=")[0])


def test_paging_of_versions_takes_only_its_own_cursors(door, hello):
    for key in (b'"a"', b"-1", b"0", b"99999999999999999999", b"true", b"null"):
        cursor = base64.urlsafe_b64encode(b'["before", ' + key + b"]").decode()
        refused(door("GET", f"{HELLO}/versions", params={"cursor": cursor}), 422, "cursor")


def test_a_space_that_is_full_is_a_422(door):
    for number in range(8):
        assert door("PUT", f"/spaces/demo/secrets/S{number}", {"value": "x" * 64_000}).status_code == 201
    refused(door("PUT", "/spaces/demo/secrets/S9", {"value": "x" * 64_000}), 422, "524288")
